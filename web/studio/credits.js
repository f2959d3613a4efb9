// The page of the user's credits: the balance, the debt, and every entry of the ledger in words,
// newest first.

import { button, h, icon, problem, time } from "../elements.js";
import { explain, number, signed, toolName } from "../format.js";
import { inWords, t } from "../words.js";
import { jobs } from "./jobs.js";
import { debtNotice } from "./wallet.js";

const PAGE = 20;

/** The icon of an entry, by its kind. */
const ICONS = {
  purchase: "plus",
  grant: "plus",
  bonus: "gift",
  goodwill: "gift",
  debit: "minus",
  refund: "returned",
  chargeback: "alert",
  adjustment: "coin",
};

/** Makes the page: its element, its title, and `show`, which reads the ledger and draws it. */
export function createCredits({ wallet, getCredits }) {
  const title = h("h1", { tabindex: -1 }, t("credits_title"));
  const balance = h("strong", { class: "credits-balance" });
  const debt = h("div");
  const list = h("ol", { class: "ledger-list" });
  const more = button(t("more"), () => further(), "quiet", { hidden: true });
  let next = null;

  async function further() {
    const start = next;
    const page = await jobs.ledger({ cursor: start, limit: PAGE }).catch((error) => error);
    if (!page.entries) return list.append(h("li", {}, problem(explain(page))));
    const rows = page.entries.map(row);
    if (start === null) list.replaceChildren(...(rows.length ? rows : [nothing()]));
    else list.append(...rows);
    next = page.next;
    more.hidden = next === null;
    if (start !== null) rows[0]?.focus();
  }

  function showWallet() {
    const known = wallet.get();
    balance.textContent = known ? number(known.balance) : "–";
    debt.replaceChildren(debtNotice(known) || "");
  }

  async function show() {
    next = null;
    await Promise.all([wallet.refresh(), further()]);
    showWallet();
  }

  wallet.onchange(showWallet);
  const back = h("a", { class: "button quiet", href: "#" }, icon("back", 18), t("studio"));
  const get = getCredits && button(t("get_credits"), () => getCredits(), "primary");
  const have = h("p", {}, icon("coin", 28), balance, h("span", { class: "sr" }, t("credits_left")));
  const head = h("header", { class: "panel credits-head" }, have, debt, get);
  const entries = h("section", { class: "panel", "aria-label": t("ledger") }, list, more);
  const element = h("main", { class: "credits" }, back, title, head, entries);
  return { element, show, title };
}

const nothing = () => h("li", { class: "muted empty" }, t("history_empty"));

function row({ id, at, kind, amount, balanceAfter, reason, tool }) {
  const n = Math.abs(amount);
  const words = inWords("ledger", kind, { n, tool: tool && toolName(tool) });
  const why = kind === "refund" && refundReason(reason);
  const left = t("ledger_balance", { n: balanceAfter });
  return h(
    "li",
    { class: `ledger-row ${kind}`, "data-entry": id, tabindex: -1 },
    h("span", { class: "ledger-mark" }, icon(ICONS[kind] ?? "coin", 18)),
    h("div", {}, h("strong", {}, words), why && h("span", {}, why), time(at)),
    h("div", { class: "num" }, h("strong", {}, signed(amount)), h("small", {}, left)),
  );
}

/** The words for a job's refund. Its reason is an error code, or begins with one. */
function refundReason(reason) {
  const code = reason?.match(/^([A-Z_]+)(:|$)/)?.[1].toLowerCase();
  return code && t.maybe(`error_${code}`);
}
