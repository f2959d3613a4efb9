// What an app may write of every tool, and what it may read of each answer.

import type {
  ClientErrorCode,
  ErrorCode,
  Job,
  JobErrorName,
  Jobs,
  JobSummary,
  ToolName,
} from "@unstuck/client";

declare const jobs: Jobs;
declare const file: File;
const url = "https://project.supabase.co/storage/v1/object/public/uploads/u/in.png";

export const upscaled: Job<"runninghub-upscaler"> = jobs.run("runninghub-upscaler", {
  file,
  resolution: 4096,
  detailDenoise: 0.3,
  prompt: "A red bicycle",
  version: "pro",
  category: "portrait",
  framingMode: "centre",
});
jobs.run("runninghub-upscaler", { imageUrl: url }, { maxCredits: 90 });
jobs.run("runninghub-upscaler", { imageUrl: new Blob() });

jobs.run("runninghub-video-upscaler", { file, width: 1280, height: 720, durationSeconds: 12.5 });
jobs.run("runninghub-pose-changer", { personImageUrl: file, referenceImageUrl: url });
jobs.run("runninghub-veste-ai", { personImageUrl: file, clothingImageUrl: file });
jobs.run("replicate-async-start", {
  person_image: file,
  garments: [
    { image: file, category: "upper_body" },
    { image: url, category: "lower_body" },
    { image: url, category: "dresses" },
  ],
  prompt_hints: ["A red shirt", "Blue jeans"],
});
jobs.run("create-generation-job-banana", {
  productName: "Steel bottle",
  category: "Kitchen",
  description: "Keeps tea hot",
  productImages: [{ url: file, type: "front" }],
  selectedCards: [0, 1, 2, 3, 4, 5, 6],
  aspectRatio: "9:16",
});
jobs.run("generate-website", {
  prompt: "A bakery",
  siteName: "Crumb",
  language: "Portuguese",
  teamId: "t",
});
jobs.run("generate-react-website", { prompt: "A bakery" });
jobs.run("generate-php-website", { prompt: "A bakery", language: undefined });

export async function read(): Promise<unknown[]> {
  const cards = await jobs.run("create-generation-job-banana", {
    productName: "x",
    productImages: [{ url }],
    selectedCards: [0],
  }).result;
  const site = await jobs.run("generate-website", { prompt: "x" }).result;
  const tryOn = await jobs.run("replicate-async-start", { person_image: url, garments: [] }).result;
  const picture = await upscaled.result;
  const page: { jobs: JobSummary[]; next: string | null } = await jobs.history({
    limit: 10,
    status: "completed",
    tool: "generate-website",
  });
  return [
    cards.answer.tasks?.map(({ cardIndex, imageUrl, lastError }) => [
      cardIndex,
      imageUrl,
      lastError,
    ]),
    site.answer.files?.map(({ path, content }) => path + content),
    tryOn.answer.result_url,
    picture.answer.errorCode === "PROVIDER_BUSY",
    picture.outputs.map(({ index, kind }) => [index, kind === "image"]),
    page.jobs[0]?.error?.code,
    await jobs.price("runninghub-upscaler", { version: "pro" }),
    await jobs.download("an id", { index: 2 }),
  ];
}

export const tools: Record<ToolName, true> = {
  "runninghub-upscaler": true,
  "runninghub-video-upscaler": true,
  "runninghub-pose-changer": true,
  "runninghub-veste-ai": true,
  "replicate-async-start": true,
  "create-generation-job-banana": true,
  "generate-website": true,
  "generate-react-website": true,
  "generate-php-website": true,
};

/** Every code has its own kind, and no other text is one. */
export function kind(code: JobErrorName): "call" | "client" | "job" {
  const call: ErrorCode = "price_changed";
  const client: ClientErrorCode = "too_large";
  return code === call ? "call" : code === client ? "client" : "job";
}
