import type { Jobs } from "@unstuck/client";

/** Saves what a job made: one file, or all as an archive. */
export async function save(jobs: Jobs, id: string): Promise<void> {
  const { blob, name } = await jobs.download(id);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser reads the file after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
