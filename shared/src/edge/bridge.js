// The platform's part of every request, each step in one call: a crossing between wasm and
// JavaScript costs more than most of the work behind it. Texts that cross together are lines,
// because no method, URL or header contains a line break.

// Rust queues a microtask at each await, several in a request. This way costs a fraction of the
// platform's own `queueMicrotask`: `docs/performance.md` has the figures.
globalThis.queueMicrotask = (task) => void Promise.resolve().then(task);

/** The headers that `serve` reads; `bridge.rs` names them in this order. */
const REQUEST_HEADERS = [
  "x-request-id",
  "authorization",
  "apikey",
  "cf-connecting-ip",
  "content-length",
  "idempotency-key",
  "webhook-id",
  "webhook-timestamp",
  "webhook-signature",
  "stripe-signature",
];

/** The headers that callers read from an answer; `bridge.rs` names them in this order. */
const ANSWER_HEADERS = ["content-type", "retry-after", "ratelimit-reset", "proxy-status"];

/**
 * The headers on every answer, errors included: without them a browser hides the reason of an
 * error.
 */
const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
  "access-control-allow-headers":
    "authorization, apikey, content-type, x-client-info, x-retry-count, x-region, " +
    "idempotency-key, x-request-id, traceparent, tracestate, baggage, sentry-trace",
  "access-control-expose-headers": "x-request-id, retry-after",
  "access-control-max-age": "86400",
};

/** The number of bytes of an unwanted body that are read before the connection may break. */
const DISCARD_MAX = 4 * 1024 * 1024;

/**
 * Method, URL, whether there is a body, and a line for each header: `=` and its value, or nothing.
 */
export function head(request) {
  const { headers, method, url } = request;
  let lines = `${method}\n${url}\n${request.body ? "=" : ""}`;
  for (const name of REQUEST_HEADERS) {
    const value = headers.get(name);
    lines += value === null ? "\n" : `\n=${value}`;
  }
  return lines;
}

/** The whole body of a declared length, which the platform enforces. */
export function text(message) {
  return message.text();
}

/** A body of undeclared length: its text, null if it is too large, undefined if it is not UTF-8. */
export async function read(request, bytesMax) {
  const chunks = [];
  let seen = 0;
  for await (const chunk of request.body) {
    seen += chunk.length;
    if (seen <= bytesMax) chunks.push(chunk);
    else if (seen > DISCARD_MAX) break;
  }
  if (seen > bytesMax) return null;
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    return (
      chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode()
    );
  } catch {
    return undefined;
  }
}

/**
 * Reads and drops the body of a request that is refused. An answer before the end of the body makes
 * the server close the connection, and a client that is still sending sees a reset instead.
 */
export async function discard(request) {
  if (!request.body || request.bodyUsed) return;
  let seen = 0;
  try {
    for await (const chunk of request.body) if ((seen += chunk.length) > DISCARD_MAX) return;
  } catch {
    // The caller has left.
  }
}

/** Makes an answer with CORS headers. `lines` are further headers, a name and a value in turn. */
export function answer(status, lines, body) {
  return new Response(body, { status, headers: withLines({ ...CORS }, lines) });
}

/** Adds the CORS headers and the request id to headers that are still mutable. */
export function cors(headers, requestId) {
  for (const name in CORS) headers.set(name, CORS[name]);
  headers.set("x-request-id", requestId);
}

/** The options of `fetch` for a request that follows no redirect. */
function options(method, lines, body, signal) {
  return { method, headers: withLines({}, lines), body, signal, redirect: "manual" };
}

/** A request for `http.rs` to send. */
export function build(method, url, lines, body, signal) {
  return new Request(url, options(method, lines, body, signal));
}

/**
 * Sends a request and reads the whole answer. The caller can abort a long one with `stopped`.
 *
 * @returns lines: the status, a line for each header, the body. A text that begins with `!` is the
 * reason why the request was not sent.
 */
export async function send(method, url, lines, body, timeoutMs, stopped) {
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = stopped ? AbortSignal.any([timeout, stopped]) : timeout;
  const sent = options(method, lines, body, signal);
  let response;
  try {
    const answering = fetch(url, sent);
    // While the answer is awaited, a large body exists only once, as the platform's own copy.
    body = sent.body = undefined;
    response = await answering;
  } catch (error) {
    const why = whyNotSent(url, sent);
    if (why) return `!${why}`;
    throw error;
  }
  const { headers, status } = response;
  let head = String(status);
  for (const name of ANSWER_HEADERS) head += `\n${headers.get(name) ?? ""}`;
  const isRedirect = status >= 300 && status < 400;
  return `${head}\n${isRedirect ? "" : await response.text()}`;
}

/** The fault of a request that can never be sent, for example of its URL. */
function whyNotSent(url, sent) {
  try {
    new Request(url, { ...sent, signal: undefined });
  } catch (error) {
    return error.message;
  }
}

/** Whether a rate limit admits one more call; undefined if it is not declared. */
export async function limit(env, binding, key) {
  const limiter = env[binding];
  if (!limiter) return undefined;
  try {
    return (await limiter.limit({ key })).success;
  } catch {
    // The database enforces the hard limits.
    return true;
  }
}

/** Adds the headers in these lines, whose names are in lower case. */
function withLines(headers, lines) {
  const parts = lines ? lines.split("\n") : [];
  for (let i = 0; i < parts.length; i += 2) headers[parts[i]] = parts[i + 1];
  return headers;
}
