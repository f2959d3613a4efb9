// A word from the browser when a job is over and nobody looks. It is asked for by a click only.

import { button, h, icon } from "../elements.js";
import { toolName } from "../format.js";
import { t } from "../words.js";

const KEY = "unstuck-notices";

const isAllowed = () => globalThis.Notification?.permission === "granted";
const isWanted = () => isAllowed() && localStorage.getItem(KEY) === "on";

/** What offers a word, or says that it is promised; nothing where the browser forbids it. */
export function noticeOffer() {
  if (!globalThis.Notification || Notification.permission === "denied") return null;
  const place = h("div", { class: "notice-offer" });
  const promised = () => h("p", { class: "muted small" }, icon("bell", 16), t("notice_promised"));
  const want = async () => {
    const answer = await Notification.requestPermission();
    if (answer === "granted") localStorage.setItem(KEY, "on");
    place.replaceChildren(answer === "granted" ? promised() : t("notice_denied"));
  };
  place.append(
    isWanted() ? promised() : button([icon("bell", 18), t("notice_offer")], want, "quiet small"),
  );
  return place;
}

/** Tells of the end of a job, if that was asked for and the page is out of sight. */
export function tellEnd({ id, tool, state }) {
  if (!isWanted() || !document.hidden) return;
  try {
    const notice = new Notification(`${toolName(tool)}: ${t(state)}`, {
      tag: id,
      icon: "/icon.svg",
    });
    notice.onclick = () => {
      focus();
      notice.close();
    };
  } catch {
    // Some phones leave this to service workers alone.
  }
}
