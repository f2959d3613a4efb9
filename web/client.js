// Made of packages/client by `cargo xtask generate`: the package in one file, for
// pages without a bundler. What each part is for is said there and in client.d.ts.
// packages/client/src/errors.ts
var JobError = class extends Error {
  name = "JobError";
  code;
  /** The HTTP status of the answer; 0 if there was none. */
  status;
  details;
  /** The largest size of a file in bytes, if the code is `too_large`. */
  limit;
  constructor(code, message, status = 0, details = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.details = details;
    this.limit = details.limit ?? null;
  }
};
var PASSING = ["network", "upstream_unavailable", "internal"];
function isPassing(error) {
  return error instanceof JobError && PASSING.includes(error.code);
}
function asJobError(error) {
  return error instanceof JobError ? error : new JobError("internal", String(error));
}
var cancelled = () => new JobError("CANCELLED", "Cancelled");

// packages/client/src/change.ts
var STATES = {
  pending: "waiting",
  queued: "waiting",
  starting: "running",
  running: "running",
  processing: "running",
  generating: "running",
  completed: "done",
  failed: "failed",
  cancelled: "cancelled",
};
function changeBy(answer, known) {
  const state = STATES[answer.status] ?? known.state;
  return {
    state,
    position: answer.position ?? null,
    etaSeconds: answer.etaSeconds ?? answer.estimated_time_seconds ?? null,
    step: answer.current_step ?? answer.completedCards ?? null,
    totalSteps: answer.total_steps ?? answer.totalCards ?? null,
    outputUrl: answer.outputUrl ?? answer.result_url ?? null,
    creditsCharged: answer.creditsCharged ?? answer.credits_charged ?? known.creditsCharged,
    creditsRefunded:
      answer.creditsRefunded ??
      answer.refundedCredits ??
      answer.credits_refunded ??
      known.creditsRefunded,
    error: state === "failed" || state === "cancelled" ? endedBecause(answer, state) : null,
    answer,
  };
}
function endedBecause(answer, state) {
  const message = answer.errorMessage ?? answer.error_message ?? "";
  const [, code, text] = message.match(/^([A-Z_]+): ?(.*)$/s) ?? [null, null, message];
  const name = answer.errorCode ?? code ?? state.toUpperCase();
  return new JobError(name, text || state, 200, answer);
}

// packages/client/src/check.ts
var HEAD_BYTES = 16;
function wantedKind(field) {
  if (/video/i.test(field)) return "video";
  return /image|^url$/i.test(field) ? "image" : null;
}
function typeOfHead(bytes) {
  const text = String.fromCharCode(...bytes.subarray(0, HEAD_BYTES));
  if (text.startsWith("\x89PNG")) return "image/png";
  if (text.startsWith("\xFF\xD8\xFF")) return "image/jpeg";
  if (text.startsWith("GIF8")) return "image/gif";
  if (/^RIFF.{4}WEBP/s.test(text)) return "image/webp";
  if (/^RIFF.{4}AVI /s.test(text)) return "video/avi";
  if (text.startsWith("E\xDF\xA3")) return "video/webm";
  if (/^.{4}(moov|mdat|wide|free|skip)/s.test(text)) return "video/quicktime";
  const brand = text.match(/^.{4}ftyp(.{4})/s)?.[1];
  if (!brand) return null;
  if (/^avi[fs]/.test(brand)) return "image/avif";
  if (/^(hei|hev|mif1|msf1)/.test(brand)) return "image/heic";
  return brand.startsWith("qt") ? "video/quicktime" : "video/mp4";
}
var FOREIGN = { "image/heic": "HEIC", "video/avi": "AVI" };
var ADVICE = {
  image: "use PNG, JPEG or WebP",
  video: "use MP4, MOV or WebM",
};
var inMegabytes = (bytes) => `${Math.round(bytes / 1024 / 1024)} MB`;
async function refuseUnfit(file, field, limit) {
  if (file.size === 0) throw new JobError("empty_file", "The file is empty; choose it anew");
  if (file.size > limit) {
    const sizes = `up to ${inMegabytes(limit)}; this one has ${inMegabytes(file.size)}`;
    const message2 = `A file may have ${sizes}`;
    throw new JobError("too_large", message2, 0, { limit, size: file.size });
  }
  const wanted = wantedKind(field);
  if (!wanted) return;
  const type = typeOfHead(new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer()));
  const format = FOREIGN[type ?? ""];
  if (type?.startsWith(`${wanted}/`) && !format) return;
  const words = wanted === "image" ? "picture" : "video";
  const message = format
    ? `${format} cannot be used here; ${ADVICE[wanted]}`
    : `The file is not a ${words}; ${ADVICE[wanted]}`;
  throw new JobError("wrong_type", message, 0, { field, wanted, type });
}

// packages/client/src/files.ts
var TYPES = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  webp: "image/webp",
  gif: "image/gif",
  avif: "image/avif",
  mp4: "video/mp4",
  webm: "video/webm",
  mov: "video/quicktime",
};
var hasFields = (value) =>
  value !== null && typeof value === "object" && !(value instanceof Blob) && !("toJSON" in value);
function hasFiles(value) {
  if (value instanceof Blob) return true;
  return hasFields(value) && Object.values(value).some(hasFiles);
}
function withoutFiles(value) {
  if (Array.isArray(value)) return value.map(withoutFiles);
  if (!hasFields(value)) return value;
  const fields2 = Object.entries(value).filter(([, part]) => !(part instanceof Blob));
  return Object.fromEntries(fields2.map(([name, part]) => [name, withoutFiles(part)]));
}
async function replaced(value, replace, field = "") {
  if (value instanceof Blob) return replace(value, field);
  if (Array.isArray(value)) return Promise.all(value.map((part) => replaced(part, replace, field)));
  if (!hasFields(value)) return value;
  const fields2 = Object.entries(value).map(async ([name, part]) => [
    name,
    await replaced(part, replace, name),
  ]);
  return Object.fromEntries(await Promise.all(fields2));
}
function extension(file) {
  const named = file.name?.match(/\.[a-z0-9]{1,5}$/i)?.[0];
  const text = named ?? `.${file.type.split("/")[1] ?? "bin"}`;
  return text.toLowerCase().replace(/[^.a-z0-9]/g, "");
}
function typeOf(file) {
  return file.type || TYPES[extension(file).slice(1)] || "application/octet-stream";
}

// packages/client/src/payable.ts
function mayBePaid({ enough, unmeasured, balance, lowest }) {
  return enough === true || (unmeasured !== null && balance !== null && balance >= lowest);
}

// packages/client/src/price.ts
var METADATA_MS = 3e3;
async function priceOf(connection, tool, given) {
  const named = await connection.named(tool, given);
  const durationSeconds = await secondsOf(Object.values(named).find(isVideo));
  const input = { ...(durationSeconds && { durationSeconds }), ...withoutFiles(named) };
  await connection.visit();
  const answer = await connection.answer("quote", { tool, input });
  const { credits, balance = null, enough = null, etaSeconds = null } = answer;
  const { unmeasured = null, lowest = credits } = answer;
  return { credits, balance, enough, etaSeconds, unmeasured, lowest };
}
async function refuseUnpaid(connection, readBalance, tool, given, maxCredits) {
  const asked = Promise.all([priceOf(connection, tool, given), readBalance()]);
  const [price, wallet] = await asked.catch((error) => {
    if (isPassing(error) || error.code === "not_found") return [null, null];
    throw error;
  });
  if (!price || !wallet) return;
  const { lowest } = price;
  if (maxCredits !== null && lowest > maxCredits)
    throw new JobError("price_changed", `This costs ${lowest} credits now`, 409, {
      credits: lowest,
    });
  if (mayBePaid(price) && wallet.debt === 0) return;
  const details = { balance: price.balance, required: lowest, debt: wallet.debt };
  throw new JobError("insufficient_credits", "There are not enough credits", 402, details);
}
var isVideo = (value) => value instanceof Blob && value.type.startsWith("video/");
async function secondsOf(video) {
  if (!video?.size || !globalThis.document) return null;
  const element = document.createElement("video");
  const address = URL.createObjectURL(video);
  await new Promise((resolve) => {
    element.onloadedmetadata = element.onerror = resolve;
    setTimeout(resolve, METADATA_MS);
    element.preload = "metadata";
    element.src = address;
  });
  URL.revokeObjectURL(address);
  return Number.isFinite(element.duration) && element.duration > 0 ? element.duration : null;
}

// packages/client/src/same.ts
var isObject = (value) => value !== null && typeof value === "object";
function kindOf(value) {
  if (Array.isArray(value)) return Array;
  const prototype = Object.getPrototypeOf(value);
  return prototype && Object.getPrototypeOf(prototype) ? prototype : Object;
}
function isSame(one, other) {
  if (Object.is(one, other)) return true;
  if (!isObject(one) || !isObject(other) || kindOf(one) !== kindOf(other)) return false;
  if (one instanceof Blob) return false;
  if ("toJSON" in one) return JSON.stringify(one) === JSON.stringify(other);
  const names = Object.keys(one);
  return (
    (names.length > 0 || kindOf(one) === Array || kindOf(one) === Object) &&
    names.length === Object.keys(other).length &&
    names.every((name) => Object.hasOwn(other, name) && isSame(one[name], other[name]))
  );
}

// packages/client/src/send.ts
var STALL_MS = 3e4;
async function send(sending) {
  sending.signal.throwIfAborted();
  if (typeof XMLHttpRequest !== "undefined") return sendWatched(sending);
  const { method, url, headers, body = null, signal } = sending;
  const response = await fetch(url, { method, headers, body, signal }).catch((error) => {
    throw new JobError("upload_failed", String(error?.message ?? error));
  });
  const text = await response.text();
  return { status: response.status, text, header: (name) => response.headers.get(name) };
}
function sendWatched({ method, url, headers, body, onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    let timer;
    const watch = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        fail("upload_stalled", `Nothing arrived for ${STALL_MS / 1e3} seconds`);
        xhr.abort();
      }, STALL_MS);
    };
    const fail = (code, message) => reject(new JobError(code, message));
    const abort = () => xhr.abort();
    xhr.open(method, url);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = ({ loaded }) => {
      watch();
      onProgress?.(loaded);
    };
    xhr.onload = () =>
      resolve({
        status: xhr.status,
        text: xhr.responseText,
        header: (name) => xhr.getResponseHeader(name),
      });
    xhr.onerror = () => fail("upload_failed", "The upload did not arrive");
    xhr.onabort = () => fail("upload_failed", "The upload was broken off");
    xhr.onloadend = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    };
    signal.addEventListener("abort", abort);
    watch();
    xhr.send(body ?? null);
  });
}

// packages/client/src/wait.ts
var TRIES = 4;
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
async function online(signal) {
  if (signal.aborted || globalThis.navigator?.onLine !== false) return false;
  const ended = new AbortController();
  await new Promise((resolve) => {
    addEventListener("online", resolve, { signal: ended.signal });
    signal.addEventListener("abort", resolve, { signal: ended.signal });
  });
  ended.abort();
  return true;
}
async function retried(work, isPassing2, pauseMs, signal) {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted || !isPassing2(error)) throw error;
      if (await online(signal)) tries = 0;
      else if (tries === TRIES) throw error;
      await pause(pauseMs * 2 ** tries);
      signal.throwIfAborted();
    }
  }
}

// packages/client/src/tus.ts
async function sendInChunks(upload2) {
  const { file, onProgress, pauseMs, signal } = upload2;
  const patiently = (work) => retried(work, isPassingUpload, pauseMs, signal);
  const signed = await patiently(() => sign(upload2));
  if (!signed) return;
  const headers = {
    apikey: upload2.connection.projectKey,
    "tus-resumable": "1.0.0",
    "x-signature": signed.token,
  };
  const url = await patiently(() => begin(upload2, headers));
  if (!url) return;
  let offset = 0;
  while (offset < file.size) {
    let isFirst = true;
    offset = await patiently(async () => {
      if (!isFirst) offset = await arrived(upload2, url, headers);
      isFirst = false;
      return offset < file.size ? sendChunk(upload2, url, headers, offset) : offset;
    });
    onProgress(offset);
  }
}
async function begin(upload2, headers) {
  const { connection, file, path, signal } = upload2;
  const fields2 = {
    bucketName: connection.bucketName,
    objectName: path,
    contentType: typeOf(file),
    cacheControl: "3600",
  };
  const metadata = Object.entries(fields2).map(([name, value]) => `${name} ${btoa(value)}`);
  const begun = await send({
    method: "POST",
    url: `${connection.projectUrl}/storage/v1/upload/resumable/sign`,
    headers: {
      ...headers,
      "upload-length": `${file.size}`,
      "upload-metadata": metadata.join(","),
    },
    signal,
  });
  return accepted(upload2, begun) ? begun.header("location") : null;
}
async function arrived(upload2, url, headers) {
  const told = await send({ method: "HEAD", url, headers, signal: upload2.signal });
  accepted(upload2, told);
  return offsetOf(told);
}
async function sendChunk(upload2, url, headers, offset) {
  const { file, onProgress, signal } = upload2;
  const sent = await send({
    method: "PATCH",
    url,
    headers: {
      ...headers,
      "upload-offset": `${offset}`,
      "content-type": "application/offset+octet-stream",
    },
    body: file.slice(offset, offset + CHUNK_BYTES),
    onProgress: (bytes) => onProgress(Math.min(offset + bytes, file.size)),
    signal,
  });
  if (sent.status === 409 || sent.status === 423)
    throw new JobError("upload_failed", sent.text.trim());
  accepted(upload2, sent);
  return offsetOf(sent);
}
function accepted(upload2, { status, text }) {
  if (status >= 300) refuse(upload2, status, text);
  return status < 300;
}
function offsetOf(sent) {
  const offset = Number(sent.header("upload-offset"));
  if (!Number.isInteger(offset)) throw new JobError("upload_failed", "Storage names no offset");
  return offset;
}

// packages/client/src/upload.ts
var CHUNK_BYTES = 6 * 1024 * 1024;
async function upload(given) {
  const { connection, file, path, onProgress, pauseMs, signal } = given;
  if (file.size > CHUNK_BYTES) {
    await sendInChunks(given);
  } else {
    await retried(() => sendWhole(given), isPassingUpload, pauseMs, signal);
  }
  onProgress(file.size);
  return connection.bucket.getPublicUrl(path).data.publicUrl;
}
async function sendWhole(given) {
  const { connection, file, onProgress, signal } = given;
  const signed = await sign(given);
  if (!signed) return;
  signal.throwIfAborted();
  const { status, text } = await send({
    method: "PUT",
    url: signed.signedUrl,
    headers: { apikey: connection.projectKey, "content-type": typeOf(file) },
    body: file,
    onProgress: (bytes) => onProgress(Math.min(bytes, file.size)),
    signal,
  });
  if (status >= 300) refuse(given, status, text);
}
async function sign(given) {
  const { data, error } = await given.connection.bucket.createSignedUploadUrl(given.path);
  if (!error) return data;
  const { status = 0, statusCode, message } = error;
  refuse(given, status, JSON.stringify({ statusCode, message }));
  return null;
}
function refuse({ file }, status, text) {
  const said = parsed(text);
  const meant = Number(said.statusCode) || status;
  if (meant === 409) return;
  if (meant === 413) {
    const message2 = `Storage takes no file of ${inMegabytes(file.size)}`;
    throw new JobError("too_large", message2, meant, { size: file.size });
  }
  const message = said.message || "The upload did not arrive";
  throw new JobError(meant === 415 ? "wrong_type" : "upload_failed", message, meant, said);
}
function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return { message: text.trim() };
  }
}
function isPassingUpload(error) {
  if (!(error instanceof JobError)) return false;
  if (error.code === "upload_stalled") return true;
  const { code, status } = error;
  return code === "upload_failed" && (status === 0 || status === 429 || status >= 500);
}

// packages/client/src/uuid.ts
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

// packages/client/src/order.ts
async function order(job, given, maxCredits, uploaded) {
  const { page, tool } = job;
  const { connection, pollMs } = page;
  const { signal } = job.abort;
  job.isOrderOf = (input2) => isSame(input2, given);
  const patiently = (work) => retried(work, isPassing, pollMs, signal);
  const endpoints2 = await patiently(async () => {
    job.user = (await connection.session()).user.id;
    return connection.endpoints(tool);
  });
  const named = await connection.named(tool, given);
  if (!uploaded && hasFiles(named)) {
    await replaced(named, (file, field) => refuseUnfit(file, field, page.uploadBytesMax));
    const readBalance = () => page.wallet.read();
    await refuseUnpaid(connection, readBalance, tool, named, maxCredits);
  }
  signal.throwIfAborted();
  const input = uploaded ?? (await uploadAll(job, named));
  job.set({ input, progress: 1 });
  signal.throwIfAborted();
  job.ordered = true;
  const limit = maxCredits !== null && { maxCredits };
  const { idField, sessionField } = endpoints2;
  const names = { [idField]: job.id, [sessionField]: page.place.sessionId };
  const ordered = patiently(() =>
    connection.call(endpoints2.order, { ...input, ...limit, ...names }).catch((error) => {
      if (isPassing(error)) job.lost = error;
      throw error;
    }),
  );
  const answer = await ordered.catch((error) => {
    if (!job.lost) throw error;
    if (!isPassing(error)) job.refusal = error;
  });
  if (answer) {
    job.lost = null;
    job.apply(changeBy(answer, job.update));
  }
  await job.follow();
}
async function uploadAll(job, input) {
  const { connection, pollMs: pauseMs } = job.page;
  const arrived2 = /* @__PURE__ */ new Map();
  return replaced(input, (file) => {
    arrived2.set(file, 0);
    const path = `${job.user}/${job.id}/${uuid()}${extension(file)}`;
    const onProgress = (bytes) => {
      arrived2.set(file, bytes);
      job.set({ progress: share(arrived2) });
    };
    return upload({ connection, file, path, pauseMs, onProgress, signal: job.abort.signal });
  });
}
function share(arrived2) {
  let [bytes, total] = [0, 0];
  for (const [file, part] of arrived2) [bytes, total] = [bytes + part, total + file.size];
  return bytes / (total || 1);
}

// packages/client/src/shop.ts
async function toolsOf(connection) {
  const [sold, rules] = await Promise.all([
    connection.rows(
      connection
        .from("tools")
        .select("tool, credit_cost, priced_per")
        .eq("enabled", true)
        .order("tool"),
    ),
    connection.rows(
      connection
        .from("tool_prices")
        .select("tool, matches, credits, priced_per, credits_min")
        .order("position"),
    ),
  ]);
  return sold.map(({ tool, credit_cost: credits, priced_per: pricedPer }) => ({
    tool,
    credits,
    pricedPer,
    rules: rules
      .filter((rule) => rule.tool === tool)
      .map((rule) => ({
        matches: rule.matches,
        credits: rule.credits,
        pricedPer: rule.priced_per,
        creditsMin: rule.credits_min,
      })),
  }));
}
function packsOf(connection) {
  return connection.rows(
    connection
      .from("credit_packs")
      .select("pack, credits, recurring, words")
      .eq("enabled", true)
      .order("position"),
  );
}
async function checkoutOf(connection, buyUrl, wanted) {
  const { user } = await connection.session();
  if (!buyUrl) return (await connection.call("purchase-checkout", wanted)).url;
  const url = new URL(buyUrl);
  url.searchParams.set("client_reference_id", user.id);
  return url.href;
}
async function ledgerOf(connection, { cursor = null, limit = 20 } = {}) {
  const { user } = await connection.session();
  let query = connection
    .from("credit_entries")
    .select("id, created_at, kind, amount, balance_after, reason, job_id")
    .eq("user_id", user.id);
  if (cursor !== null) query = query.lt("id", cursor);
  const found = await connection.rows(query.order("id", { ascending: false }).limit(limit + 1));
  const page = found.slice(0, limit);
  const ids = [...new Set(page.flatMap(({ job_id: id }) => id ?? []))];
  const jobs = ids.length
    ? await connection.rows(connection.from("jobs").select("id, tool").in("id", ids))
    : [];
  const toolOf = new Map(jobs.map(({ id, tool }) => [id, tool]));
  const entries = page.map((row) => ({
    id: row.id,
    at: row.created_at,
    kind: row.kind,
    amount: row.amount,
    balanceAfter: row.balance_after,
    reason: row.reason,
    jobId: row.job_id,
    tool: toolOf.get(row.job_id) ?? null,
  }));
  return { entries, next: found.length > limit ? (page.at(-1)?.id ?? null) : null };
}

// packages/client/src/history.ts
var PAGES_MAX = 10;
async function historyOf(connection, { cursor = null, limit = 20, status, tool } = {}) {
  const jobs = [];
  let next = cursor;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const query = new URLSearchParams({ limit: `${limit - jobs.length}` });
    if (next) query.set("cursor", next);
    if (status) query.set("status", status);
    const page = await connection.call(`jobs?${query}`);
    jobs.push(...page.jobs.filter((job) => !tool || job.tool === tool));
    next = page.next;
    if (!next || jobs.length === limit) break;
  }
  return { jobs, next };
}

// packages/client/src/zip.ts
var LOCAL = 67324752;
var CENTRAL = 33639248;
var END = 101010256;
var FLAGS = 2048;
var [VERSION, DAY] = [20, 33];
var TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 3988292384 : value >>> 1;
  return value;
});
function crc32(bytes) {
  let crc = 4294967295;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 4294967295) >>> 0;
}
function zip(entries) {
  const parts = [];
  const central = [];
  let offset = 0;
  for (const { name, bytes } of entries) {
    const path = new TextEncoder().encode(name);
    const size = bytes.length;
    const common = [
      [2, FLAGS],
      [2, 0],
      [2, 0],
      [2, DAY],
      [4, crc32(bytes)],
    ];
    const sizes = [
      [4, size],
      [4, size],
      [2, path.length],
      [2, 0],
    ];
    const head = fields([[4, LOCAL], [2, VERSION], ...common, ...sizes]);
    parts.push(head, path, bytes);
    const rest = [
      [2, 0],
      [2, 0],
      [2, 0],
      [4, 0],
      [4, offset],
    ];
    central.push(
      fields([[4, CENTRAL], [2, VERSION], [2, VERSION], ...common, ...sizes, ...rest]),
      path,
    );
    offset += head.length + path.length + size;
  }
  const count = entries.length;
  const length = central.reduce((sum, part) => sum + part.length, 0);
  const end = [
    [4, END],
    [2, 0],
    [2, 0],
    [2, count],
    [2, count],
    [4, length],
    [4, offset],
    [2, 0],
  ];
  return new Blob([...parts, ...central, fields(end)], { type: "application/zip" });
}
function fields(values) {
  const bytes = values.flatMap(([width = 0, value = 0]) =>
    Array.from({ length: width }, (_, at) => (value >>> (8 * at)) & 255),
  );
  return Uint8Array.from(bytes);
}

// packages/client/src/download.ts
async function downloadOf(connection, id, index) {
  const job = await connection.call(`jobs/${id}`);
  const there = job.outputs.filter(({ url }) => url);
  const wanted = there.filter((output) => index === void 0 || output.index === index);
  const [first] = wanted;
  if (!first) throw new JobError("not_found", "The job has no such result", 404, { id, index });
  const name = `${job.tool}-${id.slice(0, 8)}`;
  if (first.kind === "files") {
    const { status } = await connection.endpoints(job.tool);
    const response = await connection.response(`${status}${id}&format=zip`);
    return { blob: await response.blob(), name: `${name}.zip` };
  }
  if (there.length === 1) return { blob: await fetched(first), name: name + ending(first) };
  const numbered = (output) => `${name}-${output.index + 1}${ending(output)}`;
  if (wanted.length === 1) return { blob: await fetched(first), name: numbered(first) };
  const files = wanted.map(async (output) => ({
    name: numbered(output),
    bytes: new Uint8Array(await (await fetched(output)).arrayBuffer()),
  }));
  return { blob: zip(await Promise.all(files)), name: `${name}.zip` };
}
async function fetched({ url }) {
  const response = await fetch(url).catch((error) => {
    throw new JobError("network", String(error?.message ?? error));
  });
  if (response.ok) return response.blob();
  throw new JobError("not_found", "The file is not there any more", response.status);
}
var ending = ({ url }) => new URL(url).pathname.match(/\.[a-z0-9]+$/i)?.[0] ?? "";

// packages/client/src/endpoints.ts
var FAMILIES = {
  video_upscaler_jobs: () => ({ fileField: "videoUrl" }),
  generation_jobs: (tool) => ({ order: tool, status: `${tool}?jobId=` }),
  generation_history: (tool) => ({ order: tool, status: `${tool}?id=` }),
  replicate_tasks: (tool) => ({
    order: tool,
    status: "replicate-async-status?task_id=",
    idField: "job_id",
    sessionField: "session_id",
  }),
};
function endpoints(tool, family) {
  return {
    order: `${tool}/run`,
    status: `${tool}/queue-status?jobId=`,
    idField: "jobId",
    sessionField: "sessionId",
    fileField: "imageUrl",
    ...FAMILIES[family ?? ""]?.(tool),
  };
}

// packages/client/src/connection.ts
var Connection = class {
  supabase;
  bucketName;
  projectUrl;
  projectKey;
  /** The user's token, once a session was read. */
  token;
  user;
  /** The token that `#renew` obtained last. If it is refused too, it is not renewed. */
  #renewed;
  #base;
  /** The family of each tool, once the table `tools` was read. */
  #families;
  /** Resolves when a gateway has answered at the functions' address. */
  #gateway;
  constructor(supabase, options) {
    this.supabase = supabase;
    const project = supabase;
    this.projectUrl = project.supabaseUrl;
    this.projectKey = project.supabaseKey;
    this.#base = (options.functionsUrl ?? `${this.projectUrl}/functions/v1`).replace(/\/$/, "");
    this.bucketName = options.bucket ?? "uploads";
  }
  get bucket() {
    return this.supabase.storage.from(this.bucketName);
  }
  /** Throws if something other than a gateway answers at the functions' address. */
  async #findGateway() {
    let response;
    try {
      response = await fetch(`${this.#base}/health`);
    } catch {}
    const answer = await response?.json().catch(() => null);
    if (typeof answer?.ok === "boolean" || typeof answer?.request_id === "string") return;
    this.#gateway = void 0;
    if (!response || response.status >= 500) return;
    if (!answer && [403, 429].includes(response.status)) return;
    const example = "https://<your gateway>/functions/v1";
    const advice = `set functionsUrl to your gateway's address: "${example}"`;
    throw new JobError("misconfigured", `No gateway answers at ${this.#base}; ${advice}`);
  }
  /** The session, or null if nobody is signed in. */
  async visit() {
    await (this.#gateway ??= this.#findGateway());
    const { data, error } = await this.supabase.auth.getSession();
    if (error?.name === "AuthRetryableFetchError") throw new JobError("network", error.message);
    this.#take(data.session);
    return data.session;
  }
  async session() {
    const session = await this.visit();
    if (!session) throw new JobError("unauthorized", "Sign in first", 401);
    return session;
  }
  #take(session) {
    this.token = session?.access_token;
    this.user = session?.user.id;
  }
  from(table) {
    return this.supabase.schema("unstuck").from(table);
  }
  async family(tool) {
    if (!this.#families) {
      const tools = await this.rows(this.from("tools").select("tool, table_name"));
      this.#families = new Map(tools.map((row) => [row.tool, row.table_name]));
    }
    return this.#families.get(tool);
  }
  async endpoints(tool) {
    return endpoints(tool, await this.family(tool));
  }
  /** The input with `file` renamed to the tool's own field for its file. */
  async named(tool, given) {
    const { file, ...rest } = given;
    return file ? { ...rest, [(await this.endpoints(tool)).fileField]: file } : rest;
  }
  /** The rows of a query. If the token had just expired, the query is sent a second time. */
  async rows(query) {
    const used = this.token;
    let { data, error, status } = await query;
    if (status === 401 && (await this.#renew(used))) ({ data, error } = await query);
    if (error) throw new JobError("network", error.message);
    return data ?? [];
  }
  request(path, body, init) {
    return fetch(`${this.#base}/${path}`, {
      method: body ? "POST" : "GET",
      headers: {
        authorization: `Bearer ${this.token ?? this.projectKey}`,
        apikey: this.projectKey,
        ...(body && { "content-type": "application/json" }),
      },
      ...(body && { body: JSON.stringify(body) }),
      ...init,
    });
  }
  /** Calls a function as the signed-in user. */
  async call(path, body) {
    await this.session();
    return this.answer(path, body);
  }
  /** The body of a successful answer; throws a JobError for any other answer. */
  async answer(path, body) {
    const response = await this.response(path, body);
    return response.json().catch(() => ({}));
  }
  /** A successful answer. If the token was refused, the call is repeated once with a new one. */
  async response(path, body) {
    const used = this.token;
    let response = await this.#sent(path, body);
    if (response.status === 401 && (await this.#renew(used)))
      response = await this.#sent(path, body);
    if (response.ok) return response;
    const answer = await response.json().catch(() => ({}));
    const retryAfter = Number(response.headers.get("retry-after")) || null;
    const [code, message] = [answer.code ?? "internal", answer.message ?? response.statusText];
    throw new JobError(code, message, response.status, { ...answer, retryAfter });
  }
  async #sent(path, body) {
    try {
      return await this.request(path, body);
    } catch (error) {
      throw new JobError("network", error instanceof Error ? error.message : String(error));
    }
  }
  /**
   * Gets another token of the same user in place of the refused one. Returns whether there is one.
   */
  async #renew(refused) {
    const { user } = this;
    if (!refused || refused === this.#renewed) return false;
    const { auth } = this.supabase;
    let { session } = (await auth.getSession()).data;
    if (session?.access_token === refused) ({ session } = (await auth.refreshSession()).data);
    if (!session || session.user.id !== user || session.access_token === refused) return false;
    this.#take(session);
    this.#renewed = session.access_token;
    return true;
  }
};

// packages/client/src/listeners.ts
function notify(listeners, ...news) {
  for (const listener of listeners) {
    try {
      listener(...news);
    } catch (error) {
      queueMicrotask(() => {
        if (!globalThis.reportError) throw error;
        reportError(error);
      });
    }
  }
}

// packages/client/src/state.ts
var FINAL = ["done", "failed", "cancelled"];
var isFinal = (state) => state !== void 0 && FINAL.includes(state);
function firstUpdate(id, tool, known) {
  return {
    id,
    tool,
    state: "uploading",
    progress: 0,
    position: null,
    etaSeconds: null,
    step: null,
    totalSteps: null,
    outputUrl: null,
    outputs: [],
    input: {},
    answer: {},
    creditsCharged: null,
    creditsRefunded: 0,
    createdAt: null,
    startedAt: null,
    completedAt: null,
    elapsedMs: null,
    error: null,
    ...known,
  };
}
function elapsed(update, seenMs) {
  const { startedAt, completedAt } = update;
  if (startedAt && completedAt) return Date.parse(completedAt) - Date.parse(startedAt);
  if (seenMs !== null) return seenMs;
  return startedAt ? Math.max(0, Date.now() - Date.parse(startedAt)) : null;
}

// packages/client/src/place.ts
var QUEUE = "runninghub-queue-manager";
var GRACE_S = 30;
var GRACE_MAX_S = 300;
var STAY_MS = 6e4;
var SECOND_STAY_MS = 1e4;
var KEY = "unstuck.session";
var left;
function leftSession() {
  if (left) return left;
  try {
    left = sessionStorage.getItem(KEY)?.split(" ");
    sessionStorage.removeItem(KEY);
  } catch {}
  return (left ??= []);
}
function leaveSession(text) {
  try {
    if (text) sessionStorage.setItem(KEY, text);
    else sessionStorage.removeItem(KEY);
  } catch {}
}
function graceSecondsOf(options) {
  const graceSeconds = options.graceSeconds ?? GRACE_S;
  if (Number.isInteger(graceSeconds) && graceSeconds >= 0 && graceSeconds <= GRACE_MAX_S)
    return graceSeconds;
  throw new RangeError(
    `graceSeconds must be a whole number from 0 to ${GRACE_MAX_S}: ${graceSeconds}`,
  );
}
var Place = class {
  sessionId = leftSession()[0] ?? uuid();
  /** Whether the user has gone to the checkout and is expected back. */
  isShopping = false;
  #connection;
  #own;
  #keeps;
  #graceSeconds;
  /** Whether the functions are older ones, which know no grace period. */
  #isOld = leftSession().length > 1;
  #timer;
  /** `own` returns the live jobs that this page ordered. */
  constructor(connection, options, own) {
    this.#connection = connection;
    this.#own = own;
    this.#keeps = options.onLeave === "keep";
    this.#graceSeconds = graceSecondsOf(options);
  }
  #ids(state) {
    const jobs = this.#own().filter((job) => job.update.state === state);
    return jobs.map((job) => job.id);
  }
  /** Tells the server that the page is there, as long as a job waits. */
  update() {
    const waits = !this.#keeps && this.#ids("waiting").length > 0;
    if (!waits) this.stop();
    else if (!this.#timer) this.#stay(SECOND_STAY_MS);
  }
  #stay(nextMs = STAY_MS) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#stay(), nextMs);
    const sent = this.#connection.call(`${QUEUE}/stay`, { sessionId: this.sessionId });
    sent.then(
      () => (this.#isOld = false),
      (error) => {
        if (asJobError(error).status === 404) this.#isOld = true;
      },
    );
  }
  stop() {
    clearTimeout(this.#timer);
    this.#timer = void 0;
  }
  /** Called when the page is hidden, for a moment or for good. */
  hide() {
    leaveSession(this.sessionId + (this.#isOld ? " old" : ""));
    this.stop();
    if (this.#keeps) return;
    if (this.isShopping) {
      if (!this.#isOld) this.#sayGoodbye(GRACE_MAX_S);
    } else if (this.#isOld) this.leave();
    else {
      const uploading = this.#ids("uploading");
      if (uploading.length > 0) this.#send("cancel-session", uploading[0], { jobIds: uploading });
      this.#sayGoodbye(this.#graceSeconds);
    }
  }
  /** Called when the browser shows the page again from its memory. */
  show() {
    leaveSession(null);
    this.isShopping = false;
    this.update();
  }
  #sayGoodbye(graceSeconds) {
    if (this.#ids("waiting").length > 0)
      this.#send("leave-session", this.sessionId, { graceSeconds });
  }
  /** Cancels the uploading and the waiting jobs of this page. */
  leave() {
    const jobIds = [...this.#ids("uploading"), ...this.#ids("waiting")];
    if (jobIds.length > 0) this.#send("cancel-session", this.sessionId, { jobIds });
  }
  #send(op, sessionId, rest) {
    if (!this.#connection.token) return;
    const body = { sessionId, ...rest };
    const sent = this.#connection.request(`${QUEUE}/${op}`, body, { keepalive: true });
    sent.catch(() => {});
  }
};

// packages/client/src/follower.ts
var LOST_LOOKS = 5;
var TOLD_FACTOR = 5;
var LASTING = ["bad_request", "forbidden", "not_found"];
var Follower = class {
  page;
  id;
  tool;
  /** The id of the job's user, once it is known. */
  user;
  /** When the job was ordered, by which lists are sorted; in milliseconds. */
  since;
  update;
  /** Whether this page ordered the job. Leaving the page cancels no other job. */
  own = false;
  /** Whether the order may have been sent. */
  ordered = false;
  /** Whether an order of this input would be the same order. */
  isOrderOf = () => false;
  /** The error of an order that has not been answered yet. */
  lost = null;
  /** Why a retry of that order was refused. */
  refusal = null;
  /** Aborted to end uploads and retries. */
  abort = new AbortController();
  job;
  #listeners = /* @__PURE__ */ new Set();
  #resolve;
  #reject;
  #isStopped = false;
  /** Whether something happened for which the next query should not wait. */
  #isStirred = false;
  isFollowed = false;
  #hasLooked = false;
  #firstLook;
  #stir = () => {};
  /** When this page saw the job begin to run, in milliseconds. */
  #seenRunning = null;
  constructor(page, id, tool, known) {
    this.page = page;
    this.id = id;
    this.tool = tool;
    this.since = known.createdAt ? Date.parse(known.createdAt) : Date.now();
    this.update = firstUpdate(id, tool, known);
    const result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    result.catch(() => {});
    this.job = this.#handle(result);
  }
  get isLive() {
    return !this.#isStopped && !isFinal(this.update.state);
  }
  set(change) {
    if (!this.isLive) return;
    const { state } = this.update;
    const next = { ...this.update, ...change };
    if (next.state === "running" && (state === "waiting" || state === "uploading"))
      this.#seenRunning = Date.now();
    next.elapsedMs = elapsed(next, this.#seenRunning && Date.now() - this.#seenRunning);
    this.update = next;
    if (next.state === "done") this.#resolve(next);
    else if (isFinal(next.state)) this.#reject(next.error);
    this.page.changed(this, state !== next.state);
    notify(this.#listeners, next);
  }
  fail(error) {
    const known = asJobError(error);
    this.set({
      state: known.code === "CANCELLED" ? "cancelled" : "failed",
      error: known,
      creditsRefunded: known.details.refundedCredits ?? 0,
    });
  }
  /** Stops following the job, which itself goes on. `isTold` reports the error to the listeners. */
  stop(error, isTold) {
    if (isTold) this.set({ state: "failed", error });
    this.#isStopped = true;
    this.#listeners.clear();
    this.abort.abort();
    this.wake();
    this.#reject(error);
  }
  /** Makes the next query start at once. */
  wake() {
    this.#isStirred = true;
    this.#stir();
  }
  async #sleep(ms) {
    if (!this.#isStirred)
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#stir = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    this.#isStirred = false;
  }
  /** Resolves when the state of a job that was found in the database has been queried. */
  ready() {
    const isOrder = this.own && !this.update.createdAt;
    return (this.#firstLook ??= isOrder || this.isFollowed ? Promise.resolve() : this.#lookFirst());
  }
  async #lookFirst() {
    try {
      await this.look();
    } catch (error) {
      this.#firstLook = void 0;
      throw error;
    }
  }
  /** Queries the job's state from its function. */
  async look() {
    const { connection } = this.page;
    const { status } = await connection.endpoints(this.tool);
    const answer = await connection.call(status + this.id);
    const change = changeBy(answer, this.update);
    const { state, step } = this.update;
    const isNew = change.state !== state || change.step !== step || !this.#hasLooked;
    const facts = isNew ? await this.#facts(isFinal(change.state)) : {};
    this.#hasLooked = true;
    this.set({ ...change, ...facts });
  }
  /**
   * The fields that only the function `jobs` reports; null if it does not answer. A job that has
   * ended is not queried later, so the call is retried for it.
   */
  async #facts(hasEnded) {
    const { connection, pollMs } = this.page;
    const read = async () => (this.isLive ? connection.call(`jobs/${this.id}`) : null);
    const mayPass = (error) =>
      hasEnded && (isPassing(error) || asJobError(error).code === "rate_limited");
    const { signal } = new AbortController();
    const found = await retried(read, mayPass, pollMs, signal).catch(() => null);
    if (!found) return null;
    const { createdAt, startedAt, completedAt, outputs } = found;
    return { createdAt, startedAt, completedAt, outputs };
  }
  /**
   * Applies what changes by the answer to an order. If the job has ended, the answer lacks its
   * outputs and its times, so a query follows at once.
   */
  apply(change) {
    if (isFinal(change.state)) this.wake();
    else this.set(change);
  }
  /** Queries the job until it ends: soon after a change, then at growing intervals. */
  async follow() {
    if (this.isFollowed) return;
    this.isFollowed = true;
    let wait = this.page.pollMs;
    for (let looks = 1; this.isLive; looks++) {
      await this.#sleep(wait);
      if (!this.isLive) return;
      const before = this.update;
      let retryAfter = null;
      try {
        await this.look();
        this.lost = null;
      } catch (error) {
        if (this.#hasFailed(error, looks)) return;
        retryAfter = asJobError(error).details.retryAfter;
      }
      wait = retryAfter ? retryAfter * 1e3 : this.#nextWait(before, wait);
    }
  }
  /** Whether a query failed so that no further one can succeed. */
  #hasFailed(error, looks) {
    const { code } = asJobError(error);
    if (this.lost) {
      if (looks < LOST_LOOKS) return false;
      this.page.lost.add(this);
      const reason = this.abort.signal.aborted ? cancelled() : this.refusal;
      this.fail((code === "not_found" && reason) || this.lost);
    } else if (LASTING.includes(code)) this.fail(error);
    return !this.isLive;
  }
  #nextWait(before, wait) {
    const { pollMs, pollMaxMs } = this.page;
    const { state, position, step } = this.update;
    if (this.lost) return wait;
    if (state !== before.state || position !== before.position || step !== before.step)
      return pollMs;
    const isTold = this.page.feed.isJoined && state === "running";
    return Math.min(wait * 1.5, isTold ? pollMaxMs * TOLD_FACTOR : pollMaxMs);
  }
  async cancel() {
    const { connection } = this.page;
    if (this.update.state === "uploading") {
      this.abort.abort();
      const body2 = { sessionId: this.id, jobIds: [this.id] };
      const { cancelledCount } = await connection.call(`${QUEUE}/cancel-session`, body2);
      if (cancelledCount || !this.ordered) this.set({ state: "cancelled", error: cancelled() });
      return;
    }
    const body = { table: await connection.family(this.tool), jobId: this.id };
    const { refundedCredits } = await connection.call(`${QUEUE}/cancel`, body);
    this.set({ state: "cancelled", creditsRefunded: refundedCredits, error: cancelled() });
  }
  #handle(result) {
    const follower = this;
    return {
      id: this.id,
      tool: this.tool,
      get update() {
        return follower.update;
      },
      result,
      subscribe(listener) {
        follower.#listeners.add(listener);
        notify([listener], follower.update);
        return () => follower.#listeners.delete(listener);
      },
      cancel: () => follower.cancel(),
    };
  }
};
function knownBy(row) {
  return {
    // A job that has ended counts as running until its function has reported its end.
    state: row.status === "queued" ? "waiting" : "running",
    input: row.input,
    creditsCharged: row.credits_charged,
    totalSteps: row.total_steps,
    createdAt: row.created_at,
    startedAt: row.started_at,
    progress: 1,
  };
}

// packages/client/src/feed.ts
var Feed = class {
  /** Whether Realtime reports changes at present. */
  isJoined = false;
  #connection;
  #onChange;
  #onTurn;
  #channel;
  /** `onChange` is called with the id of a changed job, `onTurn` when `isJoined` changes. */
  constructor(connection, onChange, onTurn) {
    this.#connection = connection;
    this.#onChange = onChange;
    this.#onTurn = onTurn;
  }
  open(user) {
    if (this.#channel) return;
    const filter = `user_id=eq.${user}`;
    const wanted = { event: "*", schema: "unstuck", table: "jobs", filter };
    const channel = this.#connection.supabase.channel(`unstuck-${uuid()}`);
    this.#channel = channel
      .on("postgres_changes", wanted, ({ new: row }) => {
        if ("id" in row) this.#onChange(row.id);
      })
      .on("system", {}, ({ extension: extension2, status }) => {
        if (extension2 === "postgres_changes") this.#turn(channel, status === "ok");
      })
      .subscribe((status) => {
        if (status !== "SUBSCRIBED") this.#turn(channel, false);
      });
  }
  #turn(channel, isJoined) {
    if (channel !== this.#channel || isJoined === this.isJoined) return;
    this.isJoined = isJoined;
    this.#onTurn();
  }
  close() {
    const channel = this.#channel;
    this.#channel = void 0;
    this.isJoined = false;
    if (channel) this.#connection.supabase.removeChannel(channel).catch(() => {});
  }
};

// packages/client/src/wallet.ts
var Wallet = class {
  #connection;
  #listeners = /* @__PURE__ */ new Set();
  #told;
  /** Counts the reads, so that the answer to an older read is ignored. */
  #turn = 0;
  constructor(connection) {
    this.#connection = connection;
  }
  async read() {
    const turn = ++this.#turn;
    const balance = await this.#fetched();
    if (turn === this.#turn) this.#tell(balance);
    return balance;
  }
  async #fetched() {
    const connection = this.#connection;
    await connection.session();
    const read = () =>
      connection.rows(connection.from("my_balance").select("balance, debt, waits"));
    let [wallet] = await read();
    if (wallet?.waits) {
      await connection.answer(`${QUEUE}/check-user-active`).catch(() => {});
      [wallet] = await read();
    }
    return { balance: wallet?.balance ?? 0, debt: wallet?.debt ?? 0 };
  }
  #tell(balance) {
    const told = this.#told;
    if (told && told.balance === balance.balance && told.debt === balance.debt) return;
    this.#told = balance;
    notify(this.#listeners, balance);
  }
  /** Reads the balance after something that may have changed it. */
  refresh() {
    if (this.#listeners.size > 0) this.read().catch(() => {});
  }
  /** Forgets the balance when the user has changed. */
  forget() {
    this.#told = void 0;
    this.#turn += 1;
  }
  subscribe(listener) {
    this.#listeners.add(listener);
    if (this.#told) notify([listener], this.#told);
    this.refresh();
    return () => this.#listeners.delete(listener);
  }
  clear() {
    this.#listeners.clear();
    this.forget();
  }
};

// packages/client/src/page.ts
var UPLOAD_BYTES_MAX = 50 * 1024 * 1024;
var Page = class {
  connection;
  pollMs;
  pollMaxMs;
  uploadBytesMax;
  feed;
  place;
  wallet;
  /** The followers by job id, so that every caller gets the same one. */
  followers = /* @__PURE__ */ new Map();
  /** Orders of which nobody knows whether they arrived. */
  lost = /* @__PURE__ */ new Set();
  /**
   * Aborted with the reason when the user changes or the page is disposed of, so that nothing which
   * began before brings its jobs back.
   */
  era = new AbortController();
  #isTold;
  #listeners = /* @__PURE__ */ new Set();
  /** The sorted list of jobs; null if it must be made anew. */
  #listed = [];
  /** Ends the listeners that `open` has added. */
  #closing = null;
  #user;
  constructor(connection, options) {
    this.connection = connection;
    this.pollMs = options.pollMs ?? 700;
    this.pollMaxMs = options.pollMaxMs ?? 3e3;
    this.uploadBytesMax = options.maxUploadBytes ?? UPLOAD_BYTES_MAX;
    this.#isTold = options.realtime ?? true;
    this.feed = new Feed(
      connection,
      (id) => this.followers.get(id)?.wake(),
      () => this.#wake(),
    );
    this.place = new Place(connection, options, () => this.live().filter((job) => job.own));
    this.wallet = new Wallet(connection);
  }
  live() {
    return [...this.followers.values()].filter((job) => job.isLive);
  }
  /** Starts to listen to the browser and to sign-ins. After `dispose` it can be called again. */
  open() {
    if (this.#closing) return;
    this.#closing = new AbortController();
    const { signal } = this.#closing;
    const on = (target, name, listener) => target?.addEventListener?.(name, listener, { signal });
    on(globalThis, "pagehide", () => this.place.hide());
    on(globalThis, "pageshow", () => {
      this.place.show();
      this.wallet.refresh();
    });
    on(globalThis, "online", () => this.#wake());
    on(globalThis.document, "visibilitychange", () => this.#wake());
    const { data } = this.connection.supabase.auth.onAuthStateChange((_event, session) => {
      this.#meet(session?.user.id ?? null);
    });
    signal.addEventListener("abort", () => data.subscription.unsubscribe());
  }
  /** Makes every live job be queried at once. */
  #wake() {
    for (const job of this.live()) job.wake();
  }
  /**
   * When the user changes, stops the previous user's jobs with `signed_out` and forgets the
   * balance.
   */
  #meet(user) {
    const before = this.#user;
    this.#user = user;
    if (before === void 0 || before === user) return;
    this.feed.close();
    const error = new JobError("signed_out", "Another user is signed in, or nobody");
    if (before !== null) this.#endEra(error);
    for (const [id, job] of this.followers) {
      if (job.user === user || (job.user === void 0 && before === null)) continue;
      this.followers.delete(id);
      this.lost.delete(job);
      job.stop(error, true);
    }
    this.wallet.forget();
    this.#refresh();
    if (user) setTimeout(() => this.wallet.refresh());
  }
  #endEra(error) {
    this.era.abort(error);
    this.era = new AbortController();
  }
  add(job) {
    this.open();
    this.followers.set(job.id, job);
    this.#refresh();
  }
  remove(job) {
    this.followers.delete(job.id);
    this.#refresh();
  }
  changed(job, isNewState) {
    this.#refresh();
    if (isNewState && job.update.state !== "uploading") this.wallet.refresh();
  }
  #refresh() {
    this.#listed = null;
    this.place.update();
    const followed = this.live().find((job) => job.update.state !== "uploading" && job.user);
    if (!followed) this.feed.close();
    else if (this.#isTold) this.feed.open(followed.user);
    notify(this.#listeners);
  }
  list() {
    const newestFirst = (a, b) => b.since - a.since;
    this.#listed ??= [...this.followers.values()].sort(newestFirst).map(({ job }) => job);
    return this.#listed;
  }
  subscribe(listener) {
    this.open();
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  dispose() {
    this.#closing?.abort();
    this.#closing = null;
    this.#user = void 0;
    this.#listeners.clear();
    this.wallet.clear();
    const error = new JobError("disposed", "Nobody follows this job any more");
    this.#endEra(error);
    for (const job of this.followers.values()) job.stop(error, false);
    this.followers.clear();
    this.lost.clear();
    this.#listed = [];
    this.feed.close();
    this.place.stop();
  }
};

// packages/client/src/index.ts
var COLUMNS = [
  "id, user_id, tool, status, session_id, input, credits_charged, total_steps",
  "created_at, started_at",
].join(", ");
function createJobs(supabase, options = {}) {
  const connection = new Connection(supabase, options);
  const page = new Page(connection, options);
  const { place } = page;
  function found(row) {
    const known = page.followers.get(row.id);
    if (known && !page.lost.delete(known)) return known;
    const job = new Follower(page, row.id, row.tool, knownBy(row));
    job.user = row.user_id;
    job.own = row.session_id === place.sessionId;
    page.add(job);
    return job;
  }
  const rowsOf = (user) => connection.from("jobs").select(COLUMNS).eq("user_id", user);
  async function find(id, signal) {
    const known = page.followers.get(id);
    if (known && !page.lost.has(known)) return known;
    const { user } = await connection.session();
    const [row] = await connection.rows(rowsOf(user.id).eq("id", id));
    signal.throwIfAborted();
    if (row) return found(row);
    if (known) return known;
    throw new JobError("not_found", "There is no such job", 404, { id });
  }
  async function begin2(job, given, maxCredits, uploaded) {
    try {
      await online(job.abort.signal);
      await order(job, given, maxCredits, uploaded);
    } catch (error) {
      if (job.lost && job.isLive) page.lost.add(job);
      job.fail(job.abort.signal.aborted ? cancelled() : error);
    }
  }
  return {
    get sessionId() {
      return place.sessionId;
    },
    leave: () => place.leave(),
    run(tool, input, { maxCredits = null } = {}) {
      const given = input;
      const lost = [...page.lost].find(
        // The server refuses an order under the id of a cancelled one.
        (job2) => !job2.abort.signal.aborted && job2.tool === tool && job2.isOrderOf(given),
      );
      const uploaded = lost?.update.input;
      const job = new Follower(page, lost?.id ?? uuid(), tool, { input: uploaded ?? given });
      if (lost) {
        page.lost.delete(lost);
        job.lost = lost.lost;
        job.isOrderOf = lost.isOrderOf;
      }
      job.own = true;
      page.add(job);
      begin2(job, given, maxCredits, uploaded);
      return job.job;
    },
    async resume() {
      page.open();
      const { signal } = page.era;
      const { user } = await connection.session();
      const query = rowsOf(user.id)
        .in("status", ["queued", "starting", "running"])
        .order("created_at", { ascending: false });
      const rows = await connection.rows(query);
      signal.throwIfAborted();
      const live = rows.map(found);
      for (const job of live) job.follow();
      return live.map(({ job }) => job);
    },
    async job(id) {
      page.open();
      const { signal } = page.era;
      const job = await find(id, signal);
      await job.ready().catch((error) => {
        signal.throwIfAborted();
        if (!job.isFollowed) page.remove(job);
        throw error;
      });
      signal.throwIfAborted();
      job.follow();
      return job.job;
    },
    list: () => page.list(),
    subscribe: (listener) => page.subscribe(listener),
    async price(tool, input) {
      return priceOf(connection, tool, input);
    },
    balance: () => page.wallet.read(),
    onBalance(listener) {
      page.open();
      return page.wallet.subscribe(listener);
    },
    async tools() {
      return toolsOf(connection);
    },
    async packs() {
      return packsOf(connection);
    },
    async buy(pack, { returnUrl } = {}) {
      const url = await checkoutOf(connection, options.buyUrl, { pack, returnUrl });
      place.isShopping = true;
      globalThis.location?.assign(url);
      return url;
    },
    async ledger(query) {
      return ledgerOf(connection, query);
    },
    async history(query) {
      return historyOf(connection, query);
    },
    async download(job, { index } = {}) {
      return downloadOf(connection, typeof job === "string" ? job : job.id, index);
    },
    dispose: () => page.dispose(),
  };
}
export { JobError, createJobs, endpoints, mayBePaid };
