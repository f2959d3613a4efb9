// Downloads the result of a job as a file.

import type { Connection } from "./connection.js";
import { JobError } from "./errors.js";
import type { Download, JobSummary, Output } from "./types.js";

/** One output of the job. Without an index, the only output, or all of them as an archive. */
export async function downloadOf(
  connection: Connection,
  id: string,
  index: number | undefined,
): Promise<Download> {
  const job: JobSummary = await connection.call(`jobs/${id}`);
  const there = job.outputs.filter(({ url }) => url);
  const wanted = there.filter((output) => index === undefined || output.index === index);
  const [first] = wanted;
  if (!first) throw new JobError("not_found", "The job has no such result", 404, { id, index });
  const name = `${job.tool}-${id.slice(0, 8)}`;
  if (first.kind === "files") {
    const { status } = await connection.endpoints(job.tool);
    const response = await connection.response(`${status}${id}&format=zip`);
    return { blob: await response.blob(), name: `${name}.zip` };
  }
  if (there.length === 1) return { blob: await fetched(first), name: name + ending(first) };
  const numbered = (output: Output) => `${name}-${output.index + 1}${ending(output)}`;
  if (wanted.length === 1) return { blob: await fetched(first), name: numbered(first) };
  const { zip } = await import("./zip.js");
  const files = wanted.map(async (output) => ({
    name: numbered(output),
    bytes: new Uint8Array(await (await fetched(output)).arrayBuffer()),
  }));
  return { blob: zip(await Promise.all(files)), name: `${name}.zip` };
}

async function fetched({ url }: Output): Promise<Blob> {
  const response = await fetch(url!).catch((error) => {
    throw new JobError("network", String(error?.message ?? error));
  });
  if (response.ok) return response.blob();
  throw new JobError("not_found", "The file is not there any more", response.status);
}

const ending = ({ url }: Output) => new URL(url!).pathname.match(/\.[a-z0-9]+$/i)?.[0] ?? "";
