import { useActionState } from "react";
import { supabase } from "./backend";

export function SignIn() {
  const [problem, signIn, isBusy] = useActionState(async (_: string | null, form: FormData) => {
    const email = String(form.get("email"));
    const password = String(form.get("password"));
    const { error } = await supabase.auth.signInWithPassword({ email, password });
    return error?.message ?? null;
  }, null);
  return (
    <main className="door">
      <h1>Darkroom</h1>
      <p className="quiet">Larger pictures, longer videos, whole websites.</p>
      <form action={signIn} className="card stack">
        <label>
          E-mail
          <input name="email" type="email" autoComplete="username" required />
        </label>
        <label>
          Password
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        {problem && <p role="alert">{problem}</p>}
        <button disabled={isBusy}>Sign in</button>
      </form>
    </main>
  );
}
