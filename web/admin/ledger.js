// Tables of ledger entries and of purchases.

import { h, time } from "../elements.js";
import { number, signed } from "../format.js";
import { inWords, t } from "../words.js";
import { jobLink } from "./names.js";
import { row, table } from "./view.js";
import { actorName } from "./words.js";

export function ledgerTable(entries) {
  const heads = [
    { text: t("entry_at") },
    { text: t("entry_what") },
    { text: t("entry_amount"), num: true },
    { text: t("entry_balance"), num: true },
    { text: t("job") },
    { text: t("entry_reason") },
    { text: t("actor") },
  ];
  const line = (entry) =>
    row(
      heads,
      [
        time(entry.created_at),
        inWords("kind", entry.kind),
        { show: signed(entry.amount), kind: entry.amount > 0 ? "good" : "" },
        number(entry.balance_after),
        entry.job_id ? jobLink(entry.job_id) : "–",
        { show: reasonInWords(entry.reason), kind: "muted" },
        h("span", { title: entry.actor }, actorName(entry.actor)),
      ],
      { "data-key": entry.id, "data-entry": entry.kind },
    );
  return table(t("ledger"), heads, h("tbody", {}, entries.map(line)));
}

/** The system writes a tool or a code as the reason, an admin writes a sentence. */
const reasonInWords = (reason) =>
  reason ? (t.maybe(`tool_${reason}`) ?? inWords("code", reason)) : "–";

export function purchaseTable(purchases, debts) {
  const heads = [
    { text: t("entry_at") },
    { text: t("pack") },
    { text: t("granted"), num: true },
    { text: t("taken_back"), num: true },
    { text: t("owed"), num: true },
  ];
  const line = ({ id, ids, created_at: at, seller, pack, granted, taken }) => {
    const own = debts.filter(({ purchase_id: of }) => ids.includes(of));
    const owed = own.reduce((sum, { amount, settled }) => sum + amount - settled, 0);
    return row(
      heads,
      [
        time(at),
        [pack ?? "–", h("small", { class: "muted" }, ` ${seller}`)],
        number(granted),
        number(taken),
        number(owed),
      ],
      { "data-key": id },
    );
  };
  return table(t("purchases"), heads, h("tbody", {}, purchases.map(line)));
}
