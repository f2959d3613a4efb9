// What scripts share that watch what web/client.js sends.

/** `fetch` as it is without us. */
export const real = globalThis.fetch;

/** Every request since the beginning: its path, its time, its token. */
export const requests = [];
/** What may answer in place of the stack: gets the path and the request, returns an answer. */
let instead = null;

export const answerInstead = (answer) => (instead = answer);

globalThis.fetch = async (input, init) => {
  const request = new Request(input, init);
  const { pathname } = new URL(request.url);
  const authorization = request.headers.get("authorization");
  requests.push({ path: pathname, at: performance.now(), authorization });
  return (await instead?.(pathname, request)) ?? real(input, init);
};

/** How many requests had this in their path. */
export const count = (part) => requests.filter(({ path }) => path.includes(part)).length;

/** The error of a job, or null. */
export const errorOf = (job) =>
  job.result.then(
    () => null,
    ({ code, message, limit, status }) => ({ code, message, limit, status }),
  );

/** Resolves when the job reaches a state. */
export const reached = (job, wanted) =>
  new Promise((resolve) => job.subscribe(({ state }) => state === wanted && resolve()));
