// Cancels or retries every job that matches the filters. The dialog names the filters and the
// server's count. Each call takes at most a hundred jobs, and the run can be stopped between two
// calls. Jobs that are ordered later, and jobs that no longer match, are left alone.

import { button, h, toast } from "../elements.js";
import { number, unread } from "../format.js";
import { supabase } from "../project.js";
import { t } from "../words.js";
import { call, field, reasonField, refusal } from "./ask.js";
import { filterInWords, LIVE } from "./filters.js";
import { rows } from "./view.js";

const AT_ONCE = 100;
/** From this number of jobs on, the admin must type the number. */
const TYPED_FROM = 50;
const STATUSES = { cancel: LIVE, retry: ["failed"] };

/** Resolves to whether anything was tried. `matching(chosen, columns, options)` makes a query. */
export async function changeMatching({ act, chosen, matching }) {
  const among = (columns, options) =>
    matching(chosen, columns, options).in("status", STATUSES[act]);
  const { data, count, error } = await among("created_at", { count: "exact" })
    .order("created_at", { ascending: false })
    .limit(1);
  if (error) toast(unread(error), "bad");
  else if (!count) toast(t(`none_to_${act}`), "bad");
  else return carryOut({ act, chosen, among, count, newest: data[0].created_at });
  return false;
}

function carryOut(asked) {
  return new Promise((resolve) => {
    const run = { done: 0, left: 0, credits: 0, refused: 0, stopped: false, tried: false };
    run.own = new Set();
    const { dialog, form } = question(asked, () => {
      // A browser closes a dialog at the second Escape, whatever the listener of `cancel` says.
      if (run.tried && !run.over) return dialog.showModal();
      dialog.remove();
      resolve(run.tried);
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const { reason } = Object.fromEntries(new FormData(form));
      run.tried = true;
      const shown = progress(asked, run, () => dialog.close());
      form.replaceWith(shown.element);
      const failure = await inTurns(asked, run, reason.trim(), shown.draw).catch((error) => ({
        message: unread(error),
      }));
      shown.end(failure);
    });
    // While it runs, Escape stops the run and leaves the dialog open.
    dialog.addEventListener("cancel", (event) => {
      if (run.tried && !run.over) event.preventDefault();
      run.stopped = true;
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * Changes the jobs from the newest to the oldest. Resolves to the error that ended the run, or
 * null.
 */
async function inTurns({ act, chosen, among, newest }, run, reason, draw) {
  const settled = new Set();
  let from = newest;
  while (!run.stopped) {
    const page = await nextPage({ act, among, from, settled, run }).catch((error) => error);
    if (!Array.isArray(page)) return { message: unread(page) };
    if (page.length === 0) return null;
    const ids = page.map(({ id }) => id);
    const filter = { ...plain(act, chosen), ids };
    const asked = { filter, limit: ids.length, reason };
    const { ok, answer, retryAfter } = await call(`admin-${act}-job/many`, asked);
    if (answer.code === "rate_limited") {
      await new Promise((resolve) => setTimeout(resolve, Math.max(1, retryAfter) * 1000));
      continue;
    }
    if (!ok) return answer;
    const { done, refused, refundedCredits = 0 } = answer;
    run.done += done;
    run.credits += refundedCredits;
    run.refused += refused.length;
    for (const { jobId } of refused) settled.add(jobId);
    // The jobs for which this call had no time are taken by the next call.
    if (done + refused.length === ids.length) from = page.at(-1).created_at;
    if (done + refused.length === 0) for (const id of ids) settled.add(id);
    for (const id of ids) run.own.add(id);
    draw();
  }
  return null;
}

/**
 * The next jobs that are not settled yet. A refused job still matches the filters, so it is
 * skipped.
 */
async function nextPage({ act, among, from, settled, run }) {
  for (let skipped = 0; ; skipped += AT_ONCE) {
    const found = await rows(
      among("id, created_at")
        .lte("created_at", from)
        .order("created_at", { ascending: false })
        .order("id")
        .range(skipped, skipped + AT_ONCE - 1),
    );
    if (act === "retry") await settleRetried(found, settled, run);
    const fresh = found.filter(({ id }) => !settled.has(id));
    if (fresh.length > 0 || found.length < AT_ONCE) return fresh;
  }
}

/** Marks jobs that were retried already as settled, so that none is retried twice. */
async function settleRetried(found, settled, run) {
  const ids = found.map(({ id }) => id).filter((id) => !settled.has(id));
  if (ids.length === 0) return;
  const retries = await rows(supabase.from("jobs").select("retry_of").in("retry_of", ids));
  for (const { retry_of: id } of retries) {
    if (!settled.has(id) && !run.own.has(id)) run.refused += 1;
    settled.add(id);
  }
}

/** The filters that the function accepts; it leaves jobs alone that do not match them. */
function plain(act, { status, tool, provider, error, user }) {
  const own = STATUSES[act].includes(status) ? status : undefined;
  return { tool, provider, status: own, userId: user, errorCode: error };
}

function question({ act, chosen, count: n }, onclose) {
  const words = filterInWords(chosen);
  const typed = {
    name: "typed",
    label: t("type_number", { n }),
    required: true,
    inputmode: "numeric",
    pattern: String(n),
  };
  const form = h(
    "form",
    {},
    h("h2", { id: "ask-title" }, t(`ask_${act}_many`, { n })),
    h(
      "p",
      { class: "ask-text muted", id: "ask-text" },
      words ? t("many_matching", { filter: words }) : t("many_everybody"),
    ),
    field(reasonField()),
    n >= TYPED_FROM && field(typed),
    h(
      "div",
      { class: "actions" },
      button(t("keep"), () => dialog.close()),
      h(
        "button",
        { type: "submit", class: `button ${act === "cancel" ? "danger" : "primary"}` },
        t(`ask_${act}_many_yes`, { n }),
      ),
    ),
  );
  const dialog = h(
    "dialog",
    {
      "aria-labelledby": "ask-title",
      "aria-describedby": "ask-text",
      onclose,
      class: "bulk",
    },
    form,
  );
  return { dialog, form };
}

/** The progress bar, the number of jobs done, and the button that stops the run. */
function progress({ act, count }, run, close) {
  const bar = h("progress", { max: count, value: 0, "aria-label": t("progress") });
  const said = h("p", { class: "ask-text", role: "status", "data-done": 0 });
  const stop = button(t("stop"), () => {
    run.stopped = true;
    stop.disabled = true;
    stop.textContent = t("stopping");
  });
  const draw = () => {
    bar.value = run.done + run.refused;
    said.dataset.done = run.done;
    said.textContent = t("many_so_far", { n: run.done, of: count });
  };
  const title = h("h2", { id: "ask-title" }, t(`${act}_many_title`));
  const actions = h("div", { class: "actions" }, stop);
  const element = h("div", {}, title, bar, said, actions);
  const end = (failure) => {
    run.over = true;
    draw();
    const lines = [t(`${act}_many_done`, { n: run.done, of: number(count), credits: run.credits })];
    if (run.stopped) lines.push(t("many_stopped"));
    if (run.refused > 0) lines.push(t("many_refused", { n: run.refused }));
    if (failure) lines.push(t("many_failed", { why: refusal(failure) }));
    said.textContent = lines.join(" ");
    if (failure) said.className = "problem";
    const closing = button(t("close"), close, "primary");
    actions.replaceChildren(closing);
    closing.focus();
  };
  draw();
  return { element, draw, end };
}
