// What the stage shows of a job in each state.

import { button, h, icon } from "../elements.js";
import { duration, explain, number } from "../format.js";
import { t } from "../words.js";
import { cards } from "./cards.js";
import { noticeOffer } from "./notice.js";
import { pace } from "./pace.js";
import { inputOf, result } from "./result.js";
import { saveAll } from "./save.js";

/** The view of an update, by the job's state. */
export const views = {
  uploading,
  waiting,
  running,
  done,
  failed: (update, actions) => ended(update, actions, t("failed")),
  cancelled: (update, actions) => ended(update, actions, t("cancelled")),
};

/** What a waiting user reads. */
export function waitingText(position) {
  return position ? t("waiting_place", { n: position }) : t("waiting_soon");
}

/** The input picture, dimmed, with `content` over it. */
function scene(update, ...content) {
  const picture = inputOf(update);
  return h(
    "div",
    { class: "scene" },
    picture && h("img", { class: "scene-picture", src: picture, alt: "" }),
    h("div", { class: "scene-card" }, content),
  );
}

/** A button for an action; nothing if the action does not apply. */
const action = (text, onclick, kind) => onclick && button(text, onclick, kind);

function bar(share) {
  const percent = Math.round(share * 100);
  const fill = h("div", { class: "bar-fill" });
  fill.style.width = `${percent}%`;
  const attributes = {
    class: "bar",
    role: "progressbar",
    "aria-label": t("progress"),
    "aria-valuemin": 0,
    "aria-valuemax": 100,
    "aria-valuenow": percent,
  };
  return h("div", attributes, fill);
}

function uploading(update, { cancel }) {
  const arrived = t("uploading_text", { n: Math.round(update.progress * 100) });
  return scene(
    update,
    h("h2", {}, t("uploading")),
    bar(update.progress),
    h("p", { class: "muted" }, arrived),
    action(t("cancel"), cancel, "quiet"),
  );
}

function waiting(update, { cancel }) {
  const { position, etaSeconds } = update;
  const eta = etaSeconds > 0 && t("waiting_eta", { time: duration(etaSeconds) });
  const isFull = update.answer.errorCode === "PROVIDER_BUSY";
  const place = { class: "place", "data-position": position };
  return scene(
    update,
    position && h("p", place, h("span", {}, "#"), number(position)),
    h("h2", {}, waitingText(position)),
    eta && h("p", { class: "muted" }, eta),
    isFull && h("p", { class: "muted" }, t("waiting_full")),
    noticeOffer(),
    h("p", { class: "muted small" }, t("waiting_leave")),
    action(t("cancel"), cancel, "quiet"),
  );
}

function running(update) {
  const isChain = update.totalSteps > 1;
  const { line, bar: expected } = pace(update);
  const content = [
    h("div", { class: "spinner" }),
    h("h2", {}, t("running")),
    line,
    isChain && h("p", { class: "muted" }, steps(update)),
    isChain ? bar((update.step ?? 0) / update.totalSteps) : expected,
    noticeOffer(),
    h("p", { class: "muted small" }, t("running_text")),
  ];
  return [scene(update, ...content), cards(update)];
}

const steps = ({ step, totalSteps }) => t("running_step", { step: step ?? 0, steps: totalSteps });

function done(update, { again, reuse }) {
  const refunded = update.creditsRefunded;
  const paid = (update.creditsCharged ?? 0) - refunded;
  const facts = [
    h("span", { class: "fact" }, icon("check", 16), t("done")),
    h("span", { class: "fact" }, icon("coin", 16), t("credits", { n: paid })),
    refunded > 0 && h("span", { class: "fact good" }, t("returned", { n: refunded })),
  ];
  const actions = [
    action([icon("returned", 16), t("use_settings")], reuse, "quiet"),
    action(t("again"), again, ""),
    saveAll(update),
  ];
  const footer = [h("div", {}, facts), h("div", { class: "actions" }, actions)];
  return [result(update), h("footer", { class: "stage-facts" }, footer)];
}

/** Error codes after which nobody knows whether the order arrived. */
const UNANSWERED = ["network", "upstream_unavailable", "internal"];

function ended(update, { again, agree, buy, reuse }, outcome) {
  const { state, error, creditsRefunded: refunded } = update;
  const failed = state === "failed";
  const title = agree ? t("price_changed") : outcome;
  const mayCost = update.creditsCharged || UNANSWERED.includes(error?.code);
  const uncharged = mayCost ? null : t("not_charged");
  const money = refunded > 0 ? t("returned", { n: refunded }) : uncharged;
  const content = [
    h("div", { class: `verdict ${state}` }, icon(failed ? "alert" : "close", 24)),
    h("h2", {}, title),
    error && failed && h("p", {}, explain(error)),
    money && h("p", { class: "money" }, icon("coin", 16), money),
    agree && action(t("order_for", { n: error.details.credits }), agree, "primary"),
    action(t("get_credits"), buy, "primary"),
    action(t("use_settings"), agree || buy ? null : reuse, ""),
    action(t("again"), again, agree || buy || reuse ? "quiet" : ""),
  ];
  return h("div", { class: "scene" }, h("div", { class: "scene-card" }, content));
}
