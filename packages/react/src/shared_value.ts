// A value that is read once and shown by any number of components.

import { JobError } from "@unstuck/client";

/** A value that is being read, is there, or could not be read. */
export interface Loaded<T> {
  /** Null until the value is there. */
  value: T | null;
  /** Why the last read failed. The next component that subscribes retries it. */
  error: JobError | null;
}

/** Starts to read the value and reports it; returns the function that stops this. */
type Source<T> = (tell: (value: T) => void, fail: (error: unknown) => void) => () => void;

/** The same object on every server and at the first rendering in a browser. */
const NOTHING: Loaded<never> = { value: null, error: null };

/** Turns anything thrown into a JobError. */
export function asJobError(error: unknown): JobError {
  if (error instanceof JobError) return error;
  return new JobError("internal", error instanceof Error ? error.message : String(error));
}

/**
 * Runs its source while there are listeners. StrictMode unmounts and at once remounts a component,
 * so the source is stopped in a microtask, and only if there is no listener by then.
 */
export class SharedValue<T> {
  private loaded: Loaded<T> = NOTHING;
  private readonly listeners = new Set<() => void>();
  private stop: (() => void) | null = null;

  constructor(private readonly source: Source<T>) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    this.begin();
    return () => {
      this.listeners.delete(listener);
      queueMicrotask(() => this.end());
    };
  };

  readonly read = (): Loaded<T> => this.loaded;

  readonly readOnServer = (): Loaded<T> => NOTHING;

  private begin(): void {
    if (this.stop && !this.loaded.error) return;
    this.stop?.();
    this.stop = this.source(
      (value) => this.set({ value, error: null }),
      (error) => this.set({ value: this.loaded.value, error: asJobError(error) }),
    );
  }

  private end(): void {
    if (this.listeners.size > 0) return;
    this.stop?.();
    this.stop = null;
  }

  private set(loaded: Loaded<T>): void {
    this.loaded = loaded;
    for (const listener of this.listeners) listener();
  }
}
