import { useEffect, useState } from "react";
import type { JobSummary } from "@unstuck/client";
import { useJobs } from "@unstuck/react";
import { useAttempt } from "./attempt";
import { nameOf } from "./offers";
import { save } from "./save";

const WORDS = {
  queued: "waits",
  running: "runs",
  completed: "done",
  failed: "failed",
  cancelled: "cancelled",
};

/** The user's jobs of every page and device. */
export function History() {
  const jobs = useJobs();
  const [rows, setRows] = useState<JobSummary[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const [problem, attempt] = useAttempt();
  useEffect(() => {
    let isWanted = true;
    attempt(async () => {
      const page = await jobs.history({ limit: 10 });
      if (!isWanted) return;
      setRows(page.jobs);
      setNext(page.next);
    });
    return () => {
      isWanted = false;
    };
  }, [jobs]);
  const more = async () => {
    const page = await jobs.history({ limit: 10, cursor: next });
    setRows([...rows, ...page.jobs]);
    setNext(page.next);
  };
  if (rows.length === 0 && !problem) return null;
  return (
    <section aria-label="History" className="history">
      <h2>Before</h2>
      {problem && <p role="alert">{problem}</p>}
      <ul>
        {rows.map((row) => (
          <li key={row.id} data-job={row.id}>
            {row.outputs[0]?.kind === "image" && row.outputs[0].url ? (
              <img src={row.outputs[0].url} alt="" loading="lazy" />
            ) : (
              <span className="thumb" />
            )}
            <span>
              {nameOf(row.tool)}
              <small>
                {WORDS[row.status]}, {row.creditsCharged - row.creditsRefunded} credits,{" "}
                {new Date(row.createdAt).toLocaleString()}
              </small>
            </span>
            {row.status === "completed" && (
              <button className="plain" onClick={() => attempt(() => save(jobs, row.id))}>
                Download
              </button>
            )}
          </li>
        ))}
      </ul>
      {next && (
        <button className="plain" onClick={() => attempt(more)}>
          Older
        </button>
      )}
    </section>
  );
}
