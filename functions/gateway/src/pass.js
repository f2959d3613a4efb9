// Passes on requests and answers that the gateway does not read.

/**
 * Passes a request on to a function. Returns a promise of its answer; undefined if the binding does
 * not exist.
 */
export function pass(env, binding, request) {
  const bound = env[binding];
  return bound?.constructor?.name === "Fetcher" ? bound.fetch(request) : undefined;
}

/** Requests the file at another path. */
export function file(env, binding, request, path) {
  const url = new URL(request.url);
  url.pathname = path;
  return pass(env, binding, new Request(url, { method: request.method }));
}

/** Whether one of our functions made the answer: an answer of the platform has no CORS headers. */
export function hasCors(answer) {
  return answer.headers.has("access-control-allow-origin");
}

/** The same answer with mutable headers. */
export function changeable(answer) {
  return new Response(answer.body, answer);
}
