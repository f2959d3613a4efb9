// What a user has made: pages of the history, and the results as files.

import { createJobs } from "../../web/client.js";
import { picture } from "./picture.mjs";
import { client, signIn } from "./stack.mjs";
import { errorOf } from "./watched.mjs";

const supabase = client();
await signIn(supabase, "user1@example.com");
const jobs = createJobs(supabase, { pollMs: 50, pollMaxMs: 200 });
const balances = [];
jobs.onBalance(({ balance }) => balances.push(balance));
const file = new File([picture()], "in.png", { type: "image/png" });
const done = async (tool, input) => (await jobs.run(tool, input).result).id;

const upscaled = await done("runninghub-upscaler", { file });
const cards = await done("create-generation-job-banana", {
  productName: "Steel bottle",
  productImages: [{ url: file }],
  selectedCards: [0, 2, 5],
});
const site = await done("generate-website", { prompt: "A bakery" });

const shown = async (id, options) => {
  const { blob, name } = await jobs.download(id, options);
  const bytes = Buffer.from(await blob.arrayBuffer());
  return {
    name: name.replace(id.slice(0, 8), "<id>"),
    type: blob.type,
    bytes: bytes.toString("base64"),
  };
};
const first = await jobs.history({ limit: 2 });
const second = await jobs.history({ limit: 2, cursor: first.next });
const ofTool = await jobs.history({ limit: 1, tool: "runninghub-upscaler" });
const failed = await jobs.history({ status: "failed" });
const ids = (page) => page.jobs.map(({ id }) => id);
const listed = jobs.list().map(({ id }) => id);
const none = await jobs.download(upscaled, { index: 7 }).catch(({ code }) => code);
const unpaid = errorOf(
  jobs.run("runninghub-upscaler", { file, resolution: 2048 }, { maxCredits: 1 }),
);
console.log(
  JSON.stringify({
    made: [upscaled, cards, site],
    pages: [ids(first), ids(second), second.next],
    ofTool: ids(ofTool),
    failed: ids(failed),
    listed,
    balances,
    downloads: {
      one: await shown(upscaled),
      card: await shown(cards, { index: 1 }),
      cards: await shown(cards),
      site: await shown(site),
    },
    none,
    unpaid: (await unpaid).code,
  }),
);
// So much takes a moment to be written.
process.stdout.write("", () => process.exit(0));
