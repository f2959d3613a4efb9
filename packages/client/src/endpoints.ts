// How the functions of one tool are called.

export interface Endpoints {
  /** The path that takes the order. */
  order: string;
  /** The path that tells the state of a job, up to the job's id. */
  status: string;
  /** The field of the order that holds the job's id. */
  idField: string;
  /** The field of the order that names the page. */
  sessionField: string;
  /** The field of the order that `file` stands for. */
  fileField: string;
}

/**
 * What is special about the tools of a family. A family is the table that older pages know its jobs
 * by: `tools.table_name`.
 */
const FAMILIES: Record<string, (tool: string) => Partial<Endpoints>> = {
  video_upscaler_jobs: () => ({ fileField: "videoUrl" }),
  generation_jobs: (tool) => ({ order: tool, status: `${tool}?jobId=` }),
  generation_history: (tool) => ({ order: tool, status: `${tool}?id=` }),
  replicate_tasks: (tool) => ({
    order: tool,
    status: "replicate-async-status?task_id=",
    idField: "job_id",
    sessionField: "session_id",
  }),
};

export function endpoints(tool: string, family?: string): Endpoints {
  return {
    order: `${tool}/run`,
    status: `${tool}/queue-status?jobId=`,
    idField: "jobId",
    sessionField: "sessionId",
    fileField: "imageUrl",
    ...FAMILIES[family ?? ""]?.(tool),
  };
}
