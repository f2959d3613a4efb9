// Loads parts of the admin page without a browser or a server, and prints what they ask for.

import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";

const root = new URL("../../", import.meta.url);
const page = (name) => new URL(`web/${name}`, root);
const read = (name) => readFileSync(new URL(name, root), "utf8");

/** Stands in for `web/project.js`, through which the page calls the database and the functions. */
const project = `
export const supabase = { from: () => ({ select: (...given) => recorded(...given) }) };
export const ask = (...given) => answered(...given);
`;
registerHooks({
  load(url, context, next) {
    const isProject = url === page("project.js").href;
    return isProject
      ? { format: "module", source: project, shortCircuit: true }
      : next(url, context);
  },
});
const element = { addEventListener() {}, append() {}, setAttribute() {} };
globalThis.document = { body: element, documentElement: {}, createElement: () => element };
globalThis.addEventListener = () => {};
Date.now = () => Date.parse("2026-01-01T12:00:00Z");

/** A query of PostgREST whose `conditions` are what it was narrowed by. */
globalThis.recorded = () => {
  const conditions = [];
  const narrow =
    (name) =>
    (...given) => {
      conditions.push([name, ...given]);
      return query;
    };
  const get = (_, name) => (name === "conditions" ? conditions : narrow(name));
  const query = new Proxy({}, { get });
  return query;
};

const { createMatching } = await import(page("admin/filters.js"));
const stuck = createMatching([])({ status: "stuck" }, "id").conditions;

const { createActs } = await import(page("admin/acts.js"));
const { retryButton } = createActs({ tools: [] });
const [past, future] = ["2026-01-01T11:59:59Z", "2026-01-01T12:00:01Z"];
const job = { id: "00000000", tool: "generate-website", status: "running", deadline_at: past };
const hasRetry = (changes) => Boolean(retryButton({ ...job, ...changes }));
const retry = {
  overdue: hasRetry({}),
  inTime: hasRetry({ deadline_at: future }),
  pending: hasRetry({ status: "pending" }),
  quarantined: hasRetry({ quarantined_at: past }),
};

const { emailOf } = await import(page("admin/users.js"));
const unanswered = { ok: false, answer: { code: "connection_lost" } };
const found = (...users) => ({ ok: true, answer: { users } });
const answers = [unanswered, found({ userId: "a", email: "a@example.com" }), found()];
let calls = 0;
globalThis.answered = async () => answers[calls++];
const emails = [];
for (const user of ["a", "a", "a", "nobody", "nobody"]) emails.push([await emailOf(user), calls]);

const { paged } = await import(page("admin/view.js"));
/** A query of five rows, of which a project answers at most two at once. */
const five = () => ({
  range: async (from, to) => ({ data: [0, 1, 2, 3, 4].slice(from, to + 1).slice(0, 2) }),
});
const refused = () => ({ range: async () => ({ error: "refused" }) });
const paging = {
  all: await paged(five),
  three: await paged(five, 3),
  refused: await paged(refused),
};

/** The minutes of each fixed interval, by its name. */
const intervals = read("supabase/schemas/clock/intervals.sql");
const names = [...intervals.matchAll(/^ {2}(\w+) interval,?$/gm)].map(([, name]) => name);
const minutes = [...intervals.matchAll(/interval '(\d+) (minute|second)s'/g)].map(
  ([, count, unit]) => Number(count) / (unit === "minute" ? 1 : 60),
);
const of = (name) => minutes[names.indexOf(name)];
const inSql = of("sql_wait") + of("grace");
const query = /deadline_at < now\(\) - interval '(\d+) minutes'/;
const inDocs = Number(query.exec(read("docs/operations.md"))[1]);

console.log(JSON.stringify({ stuck, minutes: { inSql, inDocs }, retry, emails, paging }));
