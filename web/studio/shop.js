// Where credits are bought: the packs in a dialog, the way to the checkout and the way back.

import { button, h, icon, problem, toast } from "../elements.js";
import { explain } from "../format.js";
import { buyUrl } from "../project.js";
import { language, t } from "../words.js";
import * as drafts from "./draft.js";
import { jobs } from "./jobs.js";
import { isSame } from "./wallet.js";

/** How often, and how long, the wallet is read after a payment: its news may come late. */
const LOOK_MS = 1500;
const LOOKS = 80;

/** What our own checkout sells. */
export const packsOnSale = async () => (buyUrl ? [] : jobs.packs().catch(() => []));

/** Makes the shop of a user: `open`, whether it `sells` anything, `returned`. */
export function createShop({ user, wallet, packs }) {
  const sells = buyUrl !== null || packs.length > 0;

  /** Goes to the checkout; what is chosen now is there when the user is back. */
  async function buy(pack, draft) {
    await drafts.keep({ ...draft, user: user.id, wallet: wallet.get() });
    await jobs.buy(pack, { returnUrl: `${location.origin}/${location.hash}` });
  }

  /** Offers what is sold; `missing` credits are needed for the draft. */
  async function open(missing = 0, draft = {}) {
    if (buyUrl) return buy(null, draft);
    showPacks(packs, missing, (pack) => buy(pack, draft));
  }

  /**
   * What was chosen before the checkout, if the user comes from there. Watches for the credits
   * where the checkout says that they are paid.
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

/** Reads the wallet until it is another one than before the checkout. */
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
  // A page that comes back by the browser's Back shows what it showed when it was left.
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
