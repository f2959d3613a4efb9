// Moves a body from one request into another and counts its bytes. Rust does not do this, because
// chunks that cross into wasm cost time and memory. The platform's own pipe does not do it, because
// it can neither limit the bytes nor tell whether all have arrived. This module makes no request.

const CHUNK_BYTES = 256 * 1024;

/**
 * Reads the beginning of `source`: at least `headBytes`, or all of a shorter body. A pause of
 * `stallMs` aborts `stop`.
 *
 * @returns a promise of `head`, the first bytes, and of what `move` needs to continue.
 */
export async function open(source, headBytes, stallMs, stop) {
  const reader = source.getReader({ mode: "byob" });
  const first = await part(reader, new ArrayBuffer(CHUNK_BYTES), headBytes, stallMs, stop);
  return { reader, first, head: first.value.slice(0, headBytes) };
}

/**
 * Begins to move what `open` has opened. `length` is the declared length of the source, or
 * undefined. `stop` is aborted by a pause of `stallMs` after the receiver has begun to read, by
 * more than `bytesMax` bytes, and by an early end: if the upload merely ended, it would look
 * complete to a receiver that knows no length.
 *
 * @returns `body`, the stream to send, and `state`. When the upload is answered, "whole" means that
 * all of the source was sent; the other states are "moving", "cut", "empty" and "too large".
 */
export function move(opened, length, bytesMax, stallMs, stop) {
  const { readable, writable } =
    length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  const transfer = { body: readable, state: "moving" };
  pump(opened, writable.getWriter(), bytesMax, stallMs, transfer, stop);
  return transfer;
}

async function part(reader, buffer, min, stallMs, stop) {
  const stalled = setTimeout(() => stop.abort(), stallMs);
  try {
    return await reader.read(new Uint8Array(buffer), { min });
  } finally {
    clearTimeout(stalled);
  }
}

async function pump({ reader, first }, writer, bytesMax, stallMs, transfer, stop) {
  const end = (state) => {
    transfer.state = state;
    throw state;
  };
  let bytes = 0;
  let stalled;
  try {
    for (let read = first; ; ) {
      const { byteLength } = read.value;
      bytes += byteLength;
      if (bytes > bytesMax) end("too large");
      // The write ends when the receiver has taken the chunk, and the buffer can be reused. The
      // platform may hold back the upload until a connection is free, so before the first chunk is
      // taken only the limit of the whole copy applies.
      if (read !== first) stalled = setTimeout(() => stop.abort(), stallMs);
      if (byteLength) await writer.write(read.value);
      clearTimeout(stalled);
      if (read.done) break;
      read = await part(reader, read.value.buffer, CHUNK_BYTES / 2, stallMs, stop).catch(() =>
        end("cut"),
      );
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
