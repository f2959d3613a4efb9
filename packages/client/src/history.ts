// The user's jobs, ordered on any page or device.

import type { Connection } from "./connection.js";
import type { HistoryPage, HistoryQuery, JobSummary } from "./types.js";

/**
 * The number of pages that are searched for jobs of one tool before the result is returned as it
 * is.
 */
const PAGES_MAX = 10;

/**
 * A page of jobs. The function `jobs` cannot filter by tool, so other tools' jobs are dropped here.
 */
export async function historyOf(
  connection: Connection,
  { cursor = null, limit = 20, status, tool }: HistoryQuery = {},
): Promise<HistoryPage> {
  const jobs: JobSummary[] = [];
  let next = cursor;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const query = new URLSearchParams({ limit: `${limit - jobs.length}` });
    if (next) query.set("cursor", next);
    if (status) query.set("status", status);
    const page: HistoryPage = await connection.call(`jobs?${query}`);
    jobs.push(...page.jobs.filter((job) => !tool || job.tool === tool));
    next = page.next;
    if (!next || jobs.length === limit) break;
  }
  return { jobs, next };
}
