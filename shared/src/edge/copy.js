// Moves a body from one request into another and counts its bytes. JavaScript does this and not
// Rust, because chunks that cross into wasm cost time and memory, and not the platform's own pipe,
// because that can neither limit the bytes nor tell whether all arrived. This module makes no
// request.

const CHUNK_BYTES = 256 * 1024;

/**
 * Begins to move `source`. `length` is the source's declared length, or undefined. A silence of
 * `stallMs`, more than `bytesMax` bytes or an early end abort `stop`: an upload without a length
 * that merely ended would look complete to its receiver.
 *
 * @returns `body`, the stream to send, and `state`. When the upload is answered, "whole" means that
 * all of the source was sent; the other states are "moving", "cut", "empty" and "too large".
 */
export function move(source, length, bytesMax, stallMs, stop) {
  const { readable, writable } =
    length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
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
      const part = await reader
        .read(new Uint8Array(buffer), { min: CHUNK_BYTES / 2 })
        .catch(() => end("cut"));
      const { byteLength } = part.value;
      bytes += byteLength;
      if (bytes > bytesMax) end("too large");
      // The write ends when the receiver has taken the chunk: then the buffer may be filled anew.
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
