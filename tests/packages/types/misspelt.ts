// What must not compile. Each marked line has one misspelling, and the test counts that each alone
// is refused.

import type { ErrorCode, JobError, Jobs } from "@unstuck/client";
import { useJob } from "@unstuck/react";

declare const jobs: Jobs;
declare const failure: JobError;
const url = "https://project.supabase.co/in.png";

export async function misspelt(): Promise<unknown[]> {
  // A tool.
  // @ts-expect-error
  jobs.run("runninghub-upscale", { imageUrl: url });
  // @ts-expect-error
  jobs.price("generate-webpage", { prompt: "x" });
  // @ts-expect-error
  jobs.history({ tool: "upscaler" });

  // A field.
  // @ts-expect-error
  jobs.run("runninghub-upscaler", { imageUrl: url, resolutoin: 2048 });
  // @ts-expect-error
  jobs.run("runninghub-upscaler", { imageURL: url });
  // @ts-expect-error
  jobs.run("runninghub-upscaler", { file: url, imageUrl: url });
  // @ts-expect-error
  jobs.run("runninghub-video-upscaler", { videoUrl: url, duration: 3 });
  // @ts-expect-error
  jobs.run("runninghub-pose-changer", { file: url });
  // @ts-expect-error
  jobs.run("runninghub-veste-ai", { personImageUrl: url, garmentImageUrl: url });
  // @ts-expect-error
  jobs.run("replicate-async-start", { personImage: url, garments: [] });
  // @ts-expect-error
  jobs.run("create-generation-job-banana", { productName: "x", selectedCards: [0] });
  // @ts-expect-error
  jobs.run("generate-website", { promt: "x" });
  // @ts-expect-error
  jobs.run("generate-react-website", { prompt: "x", sitename: "x" });
  // @ts-expect-error
  jobs.run("generate-php-website", {});
  // @ts-expect-error
  jobs.run("generate-website", { prompt: "x" }, { maxCredit: 3 });

  // A value.
  // @ts-expect-error
  jobs.run("runninghub-upscaler", { imageUrl: url, version: "mega" });
  // @ts-expect-error
  jobs.run("runninghub-upscaler", { imageUrl: url, resolution: "2048" });
  const hat = { image: url, category: "hats" } as const;
  // @ts-expect-error
  jobs.run("replicate-async-start", { person_image: url, garments: [hat] });
  const product = { productName: "x", productImages: [{ url }] };
  // @ts-expect-error
  jobs.run("create-generation-job-banana", { ...product, selectedCards: [7] });
  // @ts-expect-error
  jobs.run("create-generation-job-banana", { ...product, selectedCards: [0], aspectRatio: "3:5" });
  // @ts-expect-error
  jobs.history({ status: "done" });

  // What is read of a result.
  const picture = await jobs.run("runninghub-upscaler", { imageUrl: url }).result;
  const cards = await jobs.run("create-generation-job-banana", { ...product, selectedCards: [0] })
    .result;
  const followed = useJob<"generate-website">("an id");
  return [
    // @ts-expect-error
    picture.outputURL,
    // @ts-expect-error
    picture.answer.tasks,
    // @ts-expect-error
    picture.state === "completed",
    // @ts-expect-error
    cards.answer.tasks?.[0]?.imageURL,
    // @ts-expect-error
    cards.answer.files,
    // @ts-expect-error
    followed.update?.answer.file,
    // @ts-expect-error
    failure.code === "insufficient_credit",
    // @ts-expect-error
    "not-found" satisfies ErrorCode,
  ];
}
