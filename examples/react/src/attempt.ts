import { useState } from "react";

/** Runs what may fail, and tells why the last of it did. */
export function useAttempt(): [string | null, (act: () => Promise<void>) => void] {
  const [problem, setProblem] = useState<string | null>(null);
  const attempt = (act: () => Promise<void>) => {
    setProblem(null);
    act().catch((error: unknown) => setProblem(error instanceof Error ? error.message : "?"));
  };
  return [problem, attempt];
}
