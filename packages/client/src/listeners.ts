// Calls the app's listeners: those of a job, of the list and of the balance.

/**
 * Calls each listener. An error that one throws is reported as an uncaught one, and keeps neither
 * the other listeners nor the client from going on.
 */
export function notify<T extends unknown[]>(
  listeners: Iterable<(...news: T) => void>,
  ...news: T
): void {
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
