import { useEffect, useState } from "react";
import type { User } from "@supabase/supabase-js";
import { JobsProvider } from "@unstuck/react";
import { jobs, supabase } from "./backend";
import { Darkroom } from "./Darkroom";
import { SignIn } from "./SignIn";

/** Who is signed in; undefined until that is known. */
function useUser(): User | null | undefined {
  const [user, setUser] = useState<User | null>();
  useEffect(() => {
    const { data } = supabase.auth.onAuthStateChange((_, session) =>
      setUser(session?.user ?? null),
    );
    return () => data.subscription.unsubscribe();
  }, []);
  return user;
}

export function App() {
  const user = useUser();
  if (user === undefined) return null;
  if (user === null) return <SignIn />;
  // Another user starts with an empty page.
  return (
    <JobsProvider jobs={jobs} key={user.id}>
      <Darkroom email={user.email ?? ""} />
    </JobsProvider>
  );
}
