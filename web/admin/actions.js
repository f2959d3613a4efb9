// What an admin does to jobs: cancel one, cancel all that match, retry one.

import { confirmed, toast } from "../elements.js";
import { explain, toolName } from "../format.js";
import { ask } from "../project.js";
import { t } from "../words.js";
import { cancelMatching } from "./bulk.js";

/** Makes the actions. Each ends with a toast and `refresh`. */
export function createActions({ tools, filters, refresh }) {
  const tables = new Map(tools.map(({ tool, table_name }) => [tool, table_name]));
  const call = (name, { tool, id }) => ask(name, { table: tables.get(tool), jobId: id });

  async function cancel(button, job) {
    const text = t("ask_cancel_text", { n: paid(job), tool: toolName(job.tool) });
    if (!(await confirmed(t("ask_cancel"), text, t("ask_cancel_yes")))) return;
    button.disabled = true;
    const { ok, answer } = await call("admin-cancel-job", job);
    if (ok) toast(t("job_cancelled", { n: answer.refundedCredits }));
    else toast(refusal(answer), "bad");
    await refresh();
  }

  async function retry(button, job) {
    button.disabled = true;
    const { ok, answer } = await call("admin-retry-job", job);
    if (ok) toast(t(answer.retried ? "job_requeued" : "job_retried"));
    else toast(refusal(answer), "bad");
    await refresh();
  }

  async function cancelAll(event) {
    const cancelOne = (job) => call("admin-cancel-job", job);
    if (await cancelMatching(filters, cancelOne, event.target)) await refresh();
  }

  return { cancel, retry, cancelAll };
}

/** The credits that a job holds now. */
const paid = (job) => job.credits_charged - job.credits_refunded;

function refusal(answer) {
  const { code, message, status, refundedCredits: n } = answer;
  if (code === "already_final") return t("already_over", { status: t(`status_${status}`), n });
  return explain({ code, message, details: answer });
}
