// What the gateway does with requests and answers that it does not open.

/** Passes a request on to a function: a promise of its answer, undefined where none is bound. */
export function pass(env, binding, request) {
  const bound = env[binding];
  return bound?.constructor?.name === "Fetcher" ? bound.fetch(request) : undefined;
}

/** Passes a request on to the file of another path. */
export function file(env, binding, request, path) {
  const url = new URL(request.url);
  url.pathname = path;
  return pass(env, binding, new Request(url, { method: request.method }));
}

/** Whether a function of ours made the answer: the platform's own ones have no CORS headers. */
export function hasCors(answer) {
  return answer.headers.has("access-control-allow-origin");
}

/** The same answer with headers that may be changed. */
export function changeable(answer) {
  return new Response(answer.body, answer);
}
