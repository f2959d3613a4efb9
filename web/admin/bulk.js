// Cancels every live job that matches the filters.

import { confirmed, toast } from "../elements.js";
import { number } from "../format.js";
import { supabase } from "../project.js";
import { t } from "../words.js";
import { LIVE } from "./filters.js";

const JOBS_MAX = 500;
const AT_ONCE = 4;
const COLUMNS = "id, tool, credits_charged, credits_refunded";

/** Asks first; returns whether anything was tried. `cancelOne(job)` calls the function. */
export async function cancelMatching(filters, cancelOne, button) {
  const { data: jobs, error } = await filters
    .apply(supabase.from("jobs").select(COLUMNS))
    .in("status", LIVE)
    .order("created_at")
    .limit(JOBS_MAX);
  if (error) {
    toast(t("error_network"), "bad");
    return false;
  }
  if (jobs.length === 0 || !(await agreed(jobs))) return false;
  button.disabled = true;
  const { cancelled, refunded } = await cancelEach(jobs, cancelOne);
  const text = t("jobs_cancelled", { n: cancelled, credits: number(refunded) });
  toast(text, cancelled === jobs.length ? "good" : "bad");
  return true;
}

function agreed(jobs) {
  const n = jobs.length;
  const paid = jobs.reduce((sum, job) => sum + job.credits_charged - job.credits_refunded, 0);
  const text = t("ask_cancel_many_text", { n: paid });
  return confirmed(t("ask_cancel_many", { n }), text, t("ask_cancel_many_yes", { n }));
}

async function cancelEach(jobs, cancelOne) {
  const queue = [...jobs];
  let [cancelled, refunded] = [0, 0];
  const worker = async () => {
    for (let job = queue.pop(); job; job = queue.pop()) {
      const { ok, answer, retryAfter } = await cancelOne(job);
      if (answer.code === "rate_limited") {
        // An admin has so many calls a minute: the rest follows after the pause.
        queue.push(job);
        const pauseMs = Math.max(1, retryAfter) * 1000;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      } else if (ok) {
        cancelled += 1;
        refunded += answer.refundedCredits;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return { cancelled, refunded };
}
