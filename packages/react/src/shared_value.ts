// A value from outside that any number of components show and that is asked for once.

import { JobError } from "@unstuck/client";

/** A value that is on its way, there, or not to be had. */
export interface Loaded<T> {
  /** Null until it is there. */
  value: T | null;
  /** Why it is not. The next component that asks tries once more. */
  error: JobError | null;
}

/** Begins to tell; returns the function that stops it. */
type Source<T> = (tell: (value: T) => void, fail: (error: unknown) => void) => () => void;

/** The same object for every server and for the first picture in a browser. */
const NOTHING: Loaded<never> = { value: null, error: null };

/** What went wrong, whoever threw it. */
export function asJobError(error: unknown): JobError {
  if (error instanceof JobError) return error;
  return new JobError("internal", error instanceof Error ? error.message : String(error));
}

/**
 * Runs its source while there are listeners. StrictMode unmounts and remounts a component within
 * one turn of the event loop, so the source is stopped only after a turn without listeners.
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
