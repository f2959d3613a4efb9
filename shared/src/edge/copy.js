// Moves a body from one request into another, bounded and counted. Here and not in Rust, because chunks that cross into
// wasm cost time and memory; and not by the platform's own pipe, because that can neither limit what it passes nor say
// whether all of it came. It knows nothing of requests.

const CHUNK_BYTES = 256 * 1024;

/**
 * Begins to move `source`. `length` is what the source says of itself, undefined where it says nothing. Nothing for
 * `stallMs`, too much, or an end before its time aborts `stop`: an upload without a length that merely ended would look
 * complete to whoever receives it.
 *
 * @returns `body`, to be sent, and `state`: once there is an answer to what was sent, "whole" says that it was all of
 * the source; else it is "moving", "cut", "empty" or "too large".
 */
export function move(source, length, bytesMax, stallMs, stop) {
  const { readable, writable } = length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  const transfer = { body: readable, state: "moving" };
  pump(source.getReader({ mode: "byob" }), writable.getWriter(), bytesMax, stallMs, transfer, stop);
  return transfer;
}

async function pump(reader, writer, bytesMax, stallMs, transfer, stop) {
  const end = (state) => {
    transfer.state = state;
    throw state;
  };
  let buffer = new ArrayBuffer(CHUNK_BYTES);
  let bytes = 0;
  let stalled;
  try {
    for (let done = false; !done; ) {
      stalled = setTimeout(() => stop.abort(), stallMs);
      const part = await reader.read(new Uint8Array(buffer), { min: CHUNK_BYTES / 2 }).catch(() => end("cut"));
      const { byteLength } = part.value;
      bytes += byteLength;
      if (bytes > bytesMax) end("too large");
      // Settles when the receiver has taken it: then the buffer may be filled again.
      if (byteLength) await writer.write(part.value);
      clearTimeout(stalled);
      done = part.done;
      buffer = part.value.buffer;
    }
    if (!bytes) end("empty");
    transfer.state = "whole";
    await writer.close();
  } catch {
    stop.abort();
  } finally {
    clearTimeout(stalled);
  }
}
