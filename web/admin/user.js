// The page of a user: balance and debt, ledger, purchases, jobs, and what admins did; credits are
// granted here.

import { button, h, link, problem, time } from "../elements.js";
import { number } from "../format.js";
import { supabase } from "../project.js";
import { t } from "../words.js";
import { createActs } from "./acts.js";
import { act, call, reasonField } from "./ask.js";
import { changeMatching } from "./bulk.js";
import { createMatching } from "./filters.js";
import { headings, jobRow, jobsOf } from "./jobs.js";
import { ledgerTable, purchaseTable } from "./ledger.js";
import { logTable } from "./log.js";
import { copyable, short } from "./names.js";
import { address, go } from "./router.js";
import { find } from "./users.js";
import { createView, drawn, facts, paged, part, section, table } from "./view.js";

const ENTRIES = 25;
const PURCHASES = 20;
const GRANT_MAX = 1_000_000_000;

/** Makes the page of a user. */
export function createUser({ tools, refresh }, id) {
  const acts = createActs({ tools, refresh });
  let shownEntries = ENTRIES;

  async function read() {
    const of = (table, columns, key = "user_id") =>
      supabase.from(table).select(columns).eq(key, id);
    const [who, account, debts, entries, purchases, parts, jobs, log] = await Promise.all([
      find(id).then(
        ({ users }) => users,
        () => null,
      ),
      part(of("credit_accounts", "balance")),
      part(of("open_debts", "owed")),
      part(
        paged(
          () => of("credit_entries", "*").order("id", { ascending: false }),
          // One row more than is shown tells whether there are more.
          shownEntries + 1,
        ),
      ),
      part(
        of("purchases", "id, ids, created_at, seller, pack, granted, taken")
          .order("created_at", { ascending: false })
          .limit(PURCHASES),
      ),
      part(paged(() => of("credit_debts", "purchase_id, amount, settled").order("id"))),
      jobsOf(id),
      part(of("admin_log", "*", "subject").order("id", { ascending: false }).limit(10)),
    ]);
    const found = who?.find(({ userId }) => userId === id);
    const balance = found?.balance ?? account.rows[0]?.balance ?? 0;
    const unknown = who !== null && !found && entries.rows.length + jobs.rows.length === 0;
    return { found, balance, debts, entries, purchases, parts, jobs, log, unknown };
  }

  function draw(seen) {
    if (seen.unknown) return problem(t("no_such_user"));
    const { entries, purchases, parts, jobs, log } = seen;
    const more = entries.rows.length > shownEntries;
    const shown = { ...entries, rows: entries.rows.slice(0, shownEntries) };
    return [
      head(seen),
      section(
        t("jobs"),
        drawn(jobs, jobTable, t("no_jobs")),
        link(address("/jobs", { user: id }), t("all_jobs"), { class: "button quiet small" }),
      ),
      section(
        t("ledger"),
        drawn(shown, ledgerTable, t("no_entries")),
        more && button(t("more"), showMore, "quiet small"),
      ),
      section(
        t("purchases"),
        drawn(purchases, (found) => purchaseTable(found, parts.rows), t("purchase_none")),
      ),
      section(t("tab_log"), drawn(log, logTable, t("no_log"))),
      h(
        "div",
        { class: "acts end" },
        button(t("erase"), erase, "danger small", { "data-erase": true }),
      ),
    ];
  }

  function showMore() {
    shownEntries += 4 * ENTRIES;
    return refresh();
  }

  const jobTable = (found) => {
    const heads = headings();
    const body = found.map((job) => jobRow(heads, job, acts));
    return table(t("jobs"), heads, h("tbody", {}, body));
  };

  function head({ found, balance, debts }) {
    const owed = debts.rows[0]?.owed;
    return h(
      "header",
      { class: "page-head" },
      h("div", {}, h("h1", { tabindex: -1 }, found?.email ?? t("user_named", { id: short(id) }))),
      h(
        "div",
        { class: "acts" },
        button(t("cancel_live"), cancelLive, "danger"),
        button(t("grant"), grant, "primary", { "data-grant": true }),
      ),
      facts([
        [t("balance"), h("strong", { "data-balance": balance }, number(balance))],
        [t("owed"), owed && h("strong", { class: "bad" }, number(owed))],
        [t("live_jobs"), found && number(found.liveJobs)],
        [t("since"), found?.createdAt && time(found.createdAt)],
        [t("filter_user"), copyable(id)],
      ]),
    );
  }

  async function grant() {
    // The dialog uses one idempotency key: however often it is sent, it grants the credits once.
    const idempotencyKey = crypto.randomUUID();
    const given = { name: "amount", type: "number", required: true, min: 1, max: GRANT_MAX };
    await act({
      title: t("grant_title"),
      text: t("grant_text"),
      fields: [given, reasonField()],
      action: t("grant"),
      run: ({ amount, reason }) =>
        call("admin-users/grant", {
          userId: id,
          amount: Number(amount),
          reason: reason.trim(),
          idempotencyKey,
        }),
      done: ({ balance }) => t("granted_now", { n: balance }),
    });
    await refresh();
  }

  async function cancelLive() {
    const matching = createMatching(tools);
    await changeMatching({ act: "cancel", chosen: { user: id }, matching });
    await refresh();
  }

  async function erase() {
    const carriedOut = await act({
      title: t("erase_title"),
      text: t("erase_text"),
      fields: [
        { name: "typed", label: t("type_id"), required: true, pattern: id, type: "text" },
        reasonField(),
      ],
      action: t("erase"),
      danger: true,
      run: ({ reason }) => call("admin-users/erase", { userId: id, reason: reason.trim() }),
      done: ({ jobs, entries }) => t("erased", { n: jobs, entries }),
    });
    if (carriedOut) go("/admin");
    else await refresh();
  }

  return createView({ title: () => `${t("filter_user")} ${short(id)}`, read, draw });
}
