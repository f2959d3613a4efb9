// The user's balance and debt: the pill in the top bar, and listeners for changes.

import { h, icon } from "../elements.js";
import { number } from "../format.js";
import { t } from "../words.js";
import { jobs } from "./jobs.js";

/** Makes the wallet: its pill, which links to `href`, `refresh`, and `onchange` for listeners. */
export function createWallet(href) {
  const shown = h("strong", { "data-balance": "" }, "…");
  const left = h("span", { class: "sr" }, t("credits_left"));
  const pill = h("a", { class: "balance", href }, icon("coin", 18), shown, left);
  const listeners = new Set();
  /** @type {{ balance: number, debt: number } | null} */
  let known = null;

  async function refresh() {
    const found = await jobs.balance().catch(() => null);
    shown.textContent = found ? number(found.balance) : "–";
    pill.classList.toggle("owing", found?.debt > 0);
    if (!found || isSame(found, known)) return known;
    known = found;
    for (const listener of listeners) listener();
    return known;
  }

  const onchange = (listener) => listeners.add(listener);
  return { pill, refresh, onchange, get: () => known };
}

export const isSame = (one, other) => one?.balance === other?.balance && one?.debt === other?.debt;

/** The notice for a user who owes credits. */
export function debtNotice(wallet) {
  const debt = wallet?.debt ?? 0;
  return debt > 0 && h("p", { class: "notice-debt" }, icon("alert", 18), t("debt", { n: debt }));
}
