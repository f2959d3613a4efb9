// The tools that this app offers, each with its words and what is ordered.

import type { Job, JobInput, Jobs, Price, ToolName } from "@unstuck/client";

/** What the form holds. */
export interface Values {
  file: File | null;
  prompt: string;
}

export interface Offer {
  tool: ToolName;
  name: string;
  /** What kind of file it takes; null where it takes a prompt. */
  accept: string | null;
  isComplete: (values: Values) => boolean;
  price: (jobs: Jobs, values: Values) => Promise<Price>;
  run: (jobs: Jobs, values: Values, maxCredits: number | null) => Job;
}

function offer<T extends ToolName>(
  tool: T,
  name: string,
  accept: string | null,
  input: (values: Values) => Partial<JobInput<T>>,
): Offer {
  const isComplete = ({ file, prompt }: Values) => Boolean(accept ? file : prompt.trim());
  return {
    tool,
    name,
    accept,
    isComplete,
    price: (jobs, values) => jobs.price(tool, input(values)),
    run: (jobs, values, maxCredits) => {
      if (!isComplete(values)) throw new Error("The form is not filled in");
      return jobs.run(tool, input(values) as JobInput<T>, { maxCredits });
    },
  };
}

const file = (values: Values) => (values.file ? { file: values.file } : {});

export const OFFERS: readonly [Offer, ...Offer[]] = [
  offer("runninghub-upscaler", "Enlarge a picture", "image/*", (values) => ({
    ...file(values),
    resolution: 4096,
  })),
  offer("runninghub-video-upscaler", "Enlarge a video", "video/*", file),
  offer("generate-website", "Make a website", null, ({ prompt }) => ({ prompt: prompt || "…" })),
];

export const nameOf = (tool: ToolName) => OFFERS.find((offer) => offer.tool === tool)?.name ?? tool;
