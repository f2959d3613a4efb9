// Waits: for some time, for the network to come back, and between two tries.

const TRIES = 4;

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves once the network is back or `signal` aborts. Returns whether it had to wait. */
export async function online(signal: AbortSignal): Promise<boolean> {
  if (signal.aborted || globalThis.navigator?.onLine !== false) return false;
  const ended = new AbortController();
  await new Promise((resolve) => {
    addEventListener("online", resolve, { signal: ended.signal });
    signal.addEventListener("abort", resolve, { signal: ended.signal });
  });
  ended.abort();
  return true;
}

/**
 * Repeats work that failed for a temporary reason, up to `TRIES` times. After a wait for the
 * network the count starts anew: a browser is late to say that the network is gone, so the tries
 * before may have failed for that reason.
 */
export async function retried<T>(
  work: () => Promise<T>,
  isPassing: (error: unknown) => boolean,
  pauseMs: number,
  signal: AbortSignal,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error;
      if (await online(signal)) tries = 0;
      else if (tries === TRIES) throw error;
      await pause(pauseMs * 2 ** tries);
      // The work was given up in the meantime: another user may be signed in by now.
      signal.throwIfAborted();
    }
  }
}
