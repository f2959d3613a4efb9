// The title of the tab: the progress of the job on the stage, and the page's name.

import { clock, toolName } from "../format.js";
import { t } from "../words.js";
import { elapsed } from "./pace.js";

const LIVE = ["uploading", "waiting", "running"];

/** A mark for each state, short enough for a narrow tab. */
const MARKS = {
  uploading: ({ progress }) => `↑ ${Math.round(progress * 100)} %`,
  waiting: ({ position }) => (position ? `#${position}` : "…"),
  running: (update) => clock(elapsed(update)),
  done: () => `✓ ${t("done")}`,
  failed: () => `✕ ${t("status_failed")}`,
  cancelled: () => `✕ ${t("cancelled")}`,
};

/** Makes the title: `show(update)` for the stage's job, and `page(name)` for another page. */
export function createTitle() {
  const { title } = document;
  let [job, name] = [null, null];

  function write() {
    const isLive = LIVE.includes(job?.state);
    const mark = job && (isLive || !name) && MARKS[job.state](job);
    const place = name ?? (job && toolName(job.tool));
    document.title = place ? [mark, place, "Unstuck"].filter(Boolean).join(" · ") : title;
  }

  setInterval(() => job?.state === "running" && write(), 1000);
  return {
    show(update) {
      job = update;
      write();
    },
    page(shown) {
      name = shown;
      write();
    },
  };
}
