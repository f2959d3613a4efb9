import { useState } from "react";
import { useBalance, useJobList } from "@unstuck/react";
import { supabase } from "./backend";
import { History } from "./History";
import { JobCard } from "./JobCard";
import { OrderForm } from "./OrderForm";

export function Darkroom({ email }: { email: string }) {
  const balance = useBalance();
  const list = useJobList();
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const shown = list.filter(({ id }) => !hidden.has(id));
  const ended = list.filter(({ update }) => update.completedAt !== null).length;
  return (
    <>
      <header>
        <h1>Darkroom</h1>
        <span className="balance" data-balance={balance?.balance}>
          {balance ? `${balance.balance} credits` : "…"}
        </span>
        <button className="plain" title={email} onClick={() => void supabase.auth.signOut()}>
          Sign out
        </button>
      </header>
      <main className="desk">
        <OrderForm />
        <section aria-label="Jobs" className="stack">
          {shown.length === 0 && <p className="quiet empty">Your result appears here.</p>}
          {shown.map((job) => (
            <JobCard
              key={job.id}
              job={job}
              onHide={() => setHidden(new Set([...hidden, job.id]))}
            />
          ))}
        </section>
        {/* What ended here belongs to the history. */}
        <History key={ended} />
      </main>
    </>
  );
}
