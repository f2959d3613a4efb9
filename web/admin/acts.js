// What an admin does to one job. Each act asks first, reports what it did, and refreshes the page.

import { button } from "../elements.js";
import { toolName } from "../format.js";
import { t } from "../words.js";
import { act, call, reasonField } from "./ask.js";
import { LIVE } from "./filters.js";
import { short } from "./names.js";
import { go } from "./router.js";

/** The part of the price that was not refunded. */
const held = (job) => job.credits_charged - job.credits_refunded;

export const isLive = ({ status }) => LIVE.includes(status);

/**
 * Whether a live job is past its deadline and a retry requeues it: `job_retry` refuses one that is
 * pending or quarantined.
 */
const isOverdue = (job) =>
  isLive(job) &&
  job.status !== "pending" &&
  !job.quarantined_at &&
  Date.parse(job.deadline_at) < Date.now();

/** Makes the buttons of a job. `refresh` runs after every act. */
export function createActs({ tools, refresh }) {
  const tables = new Map(tools.map(({ tool, table_name }) => [tool, table_name]));
  const named = ({ tool, id }) => ({ table: tables.get(tool), jobId: id });

  async function cancel(job) {
    await act({
      title: t("ask_cancel"),
      text: t("ask_cancel_text", { n: held(job), tool: toolName(job.tool) }),
      fields: [reasonField(false)],
      action: t("ask_cancel_yes"),
      danger: true,
      run: ({ reason }) =>
        call("admin-cancel-job", { ...named(job), reason: reason.trim() || undefined }),
      done: ({ refundedCredits: n }) => t("job_cancelled", { n }),
    });
    await refresh();
  }

  async function retry(job) {
    let made = null;
    // The dialog uses one idempotency key: however often it is sent, it makes and charges one job.
    const headers = { "idempotency-key": crypto.randomUUID() };
    const carriedOut = await act({
      title: t("ask_retry"),
      text: t(isLive(job) ? "ask_retry_overdue" : "ask_retry_final", { tool: toolName(job.tool) }),
      fields: [...(isLive(job) ? [] : [chargeField(job)]), reasonField(false)],
      action: t("retry"),
      run: ({ charge, reason }) =>
        call(
          "admin-retry-job",
          {
            ...named(job),
            ...(charge === "yes" && { charge: true }),
            reason: reason.trim() || undefined,
          },
          headers,
        ),
      done: (answer) => {
        made = answer.jobId;
        return t(answer.retried ? "job_requeued" : "job_made");
      },
    });
    if (carriedOut && made !== job.id && location.pathname.endsWith(job.id))
      go(`/admin/jobs/${made}`);
    else await refresh();
  }

  const label = (word, job) => `${t(word)}: ${toolName(job.tool)} ${short(job.id)}`;

  return {
    cancelButton: (job, size = "small") =>
      isLive(job) &&
      button(t("cancel"), () => cancel(job), `danger ${size}`, {
        "data-cancel": job.id,
        "aria-label": label("cancel", job),
      }),
    /**
     * A list offers a retry only for failed and overdue jobs. A job's own page offers it for
     * every final job; unless the job failed, a retry is a gift.
     */
    retryButton: (job, size = "small") =>
      (isLive(job) ? isOverdue(job) : size !== "small" || job.status === "failed") &&
      button(t("retry"), () => retry(job), size, {
        "data-retry": job.id,
        "aria-label": label("retry", job),
      }),
  };
}

const chargeField = (job) => ({
  name: "charge",
  label: t("price"),
  options: [
    ["no", t("retry_free")],
    ["yes", t("retry_charged", { n: job.credits_charged })],
  ],
  value: "no",
});
