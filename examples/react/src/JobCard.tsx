import { useEffect, useState } from "react";
import type { Job, Update } from "@unstuck/client";
import { useJob, useJobs } from "@unstuck/react";
import { useAttempt } from "./attempt";
import { nameOf } from "./offers";
import { save } from "./save";

const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;

/** How long the job has been running, by the second. */
function Elapsed({ update }: { update: Update }) {
  const [since] = useState(() => Date.now() - (update.elapsedMs ?? 0));
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return <p>Being made, for {seconds(Math.max(0, now - since))}</p>;
}

function Progress({ update }: { update: Update }) {
  if (update.state === "uploading")
    return (
      <>
        <p>Uploading</p>
        <progress value={update.progress} />
      </>
    );
  if (update.state === "waiting")
    return (
      <p data-position={update.position}>
        {update.position === null ? "Waiting" : `Number ${update.position} in line`}
        {update.etaSeconds !== null && `, starts in about ${update.etaSeconds} s`}
      </p>
    );
  if (update.state === "running")
    return (
      <>
        <Elapsed update={update} />
        <progress />
      </>
    );
  return null;
}

function Result({ update }: { update: Update }) {
  const kind = update.outputs[0]?.kind;
  const url = update.outputs[0]?.url;
  if (url && kind === "image") return <img src={url} alt="The result" />;
  if (url && kind === "video") return <video src={url} controls />;
  return <p>The website is ready.</p>;
}

export function JobCard({ job, onHide }: { job: Job; onHide: () => void }) {
  const jobs = useJobs();
  const { update } = useJob(job);
  const [problem, attempt] = useAttempt();
  if (!update) return null;
  const waits = update.state === "uploading" || update.state === "waiting";
  const isOver = !waits && update.state !== "running";
  return (
    <article className="card stack" data-job={update.id} data-state={update.state}>
      <h2>{nameOf(update.tool)}</h2>
      <Progress update={update} />
      {update.state === "done" && <Result update={update} />}
      {update.error && (
        <p role="alert" data-code={update.error.code}>
          {update.error.message}
        </p>
      )}
      {update.creditsRefunded > 0 && <p className="quiet">{update.creditsRefunded} credits back</p>}
      {problem && <p role="alert">{problem}</p>}
      <div className="row">
        {waits && <button onClick={() => attempt(() => job.cancel())}>Cancel</button>}
        {update.state === "done" && (
          <button onClick={() => attempt(() => save(jobs, update.id))}>Download</button>
        )}
        {isOver && (
          <button className="plain" onClick={onHide}>
            Hide
          </button>
        )}
      </div>
    </article>
  );
}
