// The endpoints of a tool's functions.

export interface Endpoints {
  /** The path of the endpoint that takes orders. */
  order: string;
  /** The path of the endpoint that reports a job's state, to which the job's id is appended. */
  status: string;
  /** The field of the order that takes the job's id. */
  idField: string;
  /** The field of the order that takes the page's session id. */
  sessionField: string;
  /** The field of the order for which an input's `file` stands. */
  fileField: string;
}

/**
 * The endpoints of a family of tools that differ from the usual ones. A family is named by the
 * table in which older pages look for its jobs: `tools.table_name`.
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
