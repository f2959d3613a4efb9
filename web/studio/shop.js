// The shop: the packs in a dialog, the way to the checkout, and the return from it.

import { button, h, icon, problem, toast } from "../elements.js";
import { explain } from "../format.js";
import { buyUrl } from "../project.js";
import { language, t } from "../words.js";
import * as drafts from "./draft.js";
import { jobs } from "./jobs.js";
import { isSame } from "./wallet.js";

/**
 * The pause between two reads of the wallet after a payment, and their number: the seller's webhook
 * may be late.
 */
const LOOK_MS = 1500;
const LOOKS = 80;

/** The packs of our own checkout. */
export const packsOnSale = async () => (buyUrl ? [] : jobs.packs().catch(() => []));

/**
 * Makes a user's shop: `open`, `sells`, which tells whether anything can be bought, and `returned`.
 */
export function createShop({ user, wallet, packs }) {
  const sells = buyUrl !== null || packs.length > 0;

  /** Goes to the checkout; the draft is kept for the user's return. */
  async function buy(pack, draft) {
    await drafts.keep({ ...draft, user: user.id, wallet: wallet.get() });
    await jobs.buy(pack, { returnUrl: `${location.origin}/${location.hash}` });
  }

  /** Shows the packs, or goes to the app's own shop. `missing` credits are needed for the draft. */
  async function open(missing = 0, draft = {}) {
    if (buyUrl) return buy(null, draft);
    showPacks(packs, missing, (pack) => buy(pack, draft));
  }

  /**
   * The draft that was kept before the checkout, if the user comes from there. Waits for the
   * credits if the checkout reports that they are paid.
   */
  async function returned() {
    const draft = await drafts.take(user);
    const outcome = new URLSearchParams(location.search).get("purchase");
    if (outcome) history.replaceState(null, "", location.pathname + location.hash);
    if (outcome === "paid") awaitCredits(wallet, draft?.wallet ?? null);
    return draft;
  }

  return { open, sells, returned };
}

/** Reads the wallet until it differs from the one before the checkout. */
async function awaitCredits(wallet, kept) {
  const before = kept ?? (await wallet.refresh());
  const arrived = async () => !isSame(await wallet.refresh(), before);
  wallet.pill.classList.add("awaiting");
  let here = await arrived();
  if (!here) toast(t("credits_awaited"));
  for (let looks = 1; !here && looks < LOOKS; looks++) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    here = await arrived();
  }
  wallet.pill.classList.remove("awaiting");
  toast(t(here ? "credits_arrived" : "credits_late"), here ? "good" : "bad");
}

function showPacks(packs, missing, onbuy) {
  const refusal = h("div");
  const fitting = packs.find(({ credits }) => missing > 0 && credits >= missing);
  const choose = async ({ pack }) => {
    for (const other of list.querySelectorAll("button")) other.disabled = true;
    try {
      await onbuy(pack);
    } catch (error) {
      refusal.replaceChildren(problem(explain(error)));
      for (const other of list.querySelectorAll("button")) other.disabled = false;
    }
  };
  const rows = packs.map((pack) => h("li", {}, packButton(pack, pack === fitting, choose)));
  const list = h("ul", { class: "packs" }, rows);
  const close = button(icon("close"), () => dialog.close(), "quiet", { "aria-label": t("close") });
  const header = h("header", {}, h("h2", { id: "shop-title" }, t("get_credits")), close);
  const why = missing > 0 && h("p", {}, t("needs_more", { n: missing }));
  const onclose = () => dialog.remove();
  const attributes = { class: "shop", "aria-labelledby": "shop-title", onclose };
  const dialog = h("dialog", attributes, header, why, list, refusal);
  // If the user comes back from the checkout with Back, the dialog would still be open.
  addEventListener("pageshow", () => dialog.close(), { once: true });
  document.body.append(dialog);
  dialog.showModal();
}

function packButton(pack, fits, onchoose) {
  const { name, price } = pack.words[language] ?? pack.words.en ?? {};
  const badges = [
    fits && h("span", { class: "pack-badge" }, t("pack_fits")),
    pack.recurring && h("span", { class: "pack-badge plain" }, t("pack_recurring")),
  ];
  const onclick = () => onchoose(pack);
  return h(
    "button",
    { type: "button", class: fits ? "pack fits" : "pack", "data-pack": pack.pack, onclick },
    icon("coin", 24),
    h("span", {}, h("strong", {}, name ?? t("credits", { n: pack.credits })), badges),
    h("strong", { class: "pack-price" }, price),
  );
}
