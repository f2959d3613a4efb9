// Shows a browser notification when a job ends while the page is hidden. The user switches it on by
// a click.

import { button, h, icon } from "../elements.js";
import { toolName } from "../format.js";
import { t } from "../words.js";

const KEY = "unstuck-notices";

const isAllowed = () => globalThis.Notification?.permission === "granted";
const isWanted = () => isAllowed() && localStorage.getItem(KEY) === "on";

/**
 * The button that asks for notifications, or the note that they are on; null if the browser forbids
 * them.
 */
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

/** Notifies the user of a job's end, if they asked for it and the page is hidden. */
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
    // Some phones allow notifications from service workers only.
  }
}
