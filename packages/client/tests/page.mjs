// A page without a browser: its server and its database are what a test says.

import { createJobs } from "../src/index.ts";

export const TOOL = "runninghub-upscaler";
export const INPUT = { imageUrl: "https://files.test/in.png" };

const json = (body, status = 200) => Response.json(body, { status });

/** The answer of a proxy that has no word for programs. */
export const html = (status) => new Response("<html>Wait</html>", { status });

/** What a server says that knows no such thing. */
export const missing = () => json({ code: "not_found", message: "no such thing" }, 404);

/** No answer at all, whatever became of the request. */
export function lost() {
  throw new TypeError("Failed to fetch");
}

let jobs = null;

/**
 * Makes a page in place of the one before. `server` has the answer by the end of a path: a body, a
 * Response, or what gives one of them. `rows` gives those of the table `jobs`, or throws. `count`
 * tells how often a path was asked for, `answer` gives the answer of one more path, `signIn` makes
 * the page another user's, and `hearsOfUsers` tells whether it listens to that.
 */
export function open(server, { rows = () => [] } = {}) {
  jobs?.dispose();
  const answers = { "/health": { ok: true }, ...server };
  const asked = [];
  globalThis.fetch = async (url) => {
    const path = new URL(url).pathname;
    asked.push(path);
    const name = Object.keys(answers).find((end) => path.endsWith(end));
    const answer = answers[name] ?? missing;
    const made = typeof answer === "function" ? await answer() : answer;
    return made instanceof Response ? made : json(made);
  };
  let user = "user-1";
  const session = () => ({ access_token: `token of ${user}`, user: { id: user } });
  const met = new Set();
  const supabase = {
    supabaseUrl: "https://project.test",
    supabaseKey: "key",
    auth: {
      getSession: async () => ({ data: { session: session() }, error: null }),
      onAuthStateChange(listener) {
        met.add(listener);
        listener("INITIAL_SESSION", session());
        return { data: { subscription: { unsubscribe: () => met.delete(listener) } } };
      },
    },
    schema: () => ({ from: (table) => query(table === "jobs" ? rows : () => []) }),
  };
  jobs = createJobs(supabase, { realtime: false, pollMs: 2, pollMaxMs: 4 });
  const signIn = (name) => {
    user = name;
    for (const listener of met) listener("SIGNED_IN", session());
  };
  const count = (end) => asked.filter((path) => path.endsWith(end)).length;
  const answer = (end, given) => (answers[end] = given);
  const hearsOfUsers = () => met.size > 0;
  return { jobs, count, signIn, answer, hearsOfUsers };
}

/** A query that takes every filter and gives the rows there are. */
function query(rows) {
  const told = async () => {
    try {
      return { data: await rows(), error: null };
    } catch ({ message }) {
      return { data: null, error: { message } };
    }
  };
  return new Proxy(
    {},
    {
      get: (_, name, self) =>
        name === "then" ? (resolve, reject) => told().then(resolve, reject) : () => self,
    },
  );
}

/** A row of the table `jobs`. */
export const row = (job, status) => ({
  id: job.id,
  user_id: "user-1",
  tool: job.tool,
  status,
  session_id: "a page",
  input: INPUT,
  credits_charged: 60,
  total_steps: 1,
  created_at: "2026-01-01T12:00:00Z",
  started_at: "2026-01-01T12:00:01Z",
});

/** How a job ends. */
export const ended = (job) =>
  job.result.then(
    ({ state }) => ({ state, code: null }),
    ({ code }) => ({ state: job.update.state, code }),
  );

/** Waits until something holds. */
export async function until(holds) {
  for (let left = 1000; !holds(); left--) {
    if (left === 0) throw new Error(`never: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
