// Two pages: the overview, with the health, the last day by the hour and the newest jobs; and the
// list of jobs alone.

import { h } from "../elements.js";
import { supabase } from "../project.js";
import { t } from "../words.js";
import { chart } from "./chart.js";
import { healthStrip, readHealth } from "./health.js";
import { createJobs } from "./jobs.js";
import { createView, part } from "./view.js";

/** Makes the overview. */
export function createOverview(context) {
  const jobs = createJobs({ ...context, place: "" });

  async function read(reason) {
    const [health, hours, list] = await Promise.all([
      readHealth(),
      part(supabase.from("jobs_by_hour").select("*").order("hour")),
      jobs.read(reason),
    ]);
    return { health, hours, list };
  }

  const draw = ({ health, hours, list }) => [
    h("h1", { tabindex: -1 }, t("admin_title")),
    healthStrip(health),
    chart(hours),
    jobs.draw(list),
  ];

  return createView({ title: () => t("admin_title"), read, draw });
}

/** Makes the list of jobs. */
export function createJobList(context) {
  const jobs = createJobs({ ...context, place: "/jobs" });
  const draw = (list) => [h("h1", { tabindex: -1 }, t("jobs")), jobs.draw(list)];
  return createView({ title: () => t("jobs"), read: jobs.read, draw });
}
