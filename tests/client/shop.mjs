// What web/client.js tells of prices, balances and purchases: to nobody in particular, to a user
// without enough credits, and to one with a history.

import { createJobs } from "../../web/client.js";
import { picture } from "./picture.mjs";
import { client, given, signIn, stack } from "./stack.mjs";

const options = { functionsUrl: `${stack.url}/functions/v1/`, pollMs: 50, pollMaxMs: 200 };
const file = () => new File([picture()], "in.png", { type: "image/png" });
const upscaler = "runninghub-upscaler";
let uploads = 0;
const real = globalThis.fetch;
globalThis.fetch = (url, init) => {
  if (`${url.url ?? url}`.includes("/storage/v1/")) uploads += 1;
  return real(url, init);
};
const code = (promise) =>
  promise.then(
    () => null,
    ({ code, status, details }) => ({ code, status, ...details }),
  );

const nobody = createJobs(client(stack.publishableKey), options);
const public_ = {
  tools: await nobody.tools(),
  packs: await nobody.packs(),
  price: await nobody.price(upscaler, { resolution: 2048 }),
  steps: await nobody.price("replicate-async-start", {
    person_image: file(),
    garments: [1, 2, 3].map(() => ({ image: file(), category: "dresses" })),
  }),
  balance: await code(nobody.balance()),
  ledger: await code(nobody.ledger()),
  order: await code(nobody.run(upscaler, { file: file() }).result),
};

const poorClient = client();
await signIn(poorClient, given.poor);
const poorJobs = createJobs(poorClient, options);
const poor = {
  price: await poorJobs.price(upscaler, { file: file() }),
  dear: await poorJobs.price(upscaler, { file: file(), version: "pro", resolution: 8192 }),
  balance: await poorJobs.balance(),
  refused: await code(poorJobs.run(upscaler, { file: file() }).result),
  uploads,
  checkout: await poorJobs.buy("small"),
  unknown: await code(poorJobs.buy("nothing of the kind")),
  own: await createJobs(poorClient, { ...options, buyUrl: "https://shop.example/" }).buy("small"),
};

const payerClient = client();
await signIn(payerClient, given.payer);
const payer = await createJobs(payerClient, options).balance();

const richClient = client();
await signIn(richClient, given.rich);
const jobs = createJobs(richClient, options);
const dearer = await code(
  jobs.run(upscaler, { file: file(), version: "pro" }, { maxCredits: 60 }).result,
);
const uploadsOfDearer = uploads;
// Without a file nothing is asked beforehand: the server refuses.
const website = { prompt: "A bakery in Lisbon" };
const refusedByServer = await code(
  jobs.run("generate-website", website, { maxCredits: 10 }).result,
);
const agreed = await jobs.run(upscaler, { file: file() }, { maxCredits: 60 }).result;
const pages = [];
let cursor = null;
do {
  const page = await jobs.ledger({ cursor, limit: 1 });
  pages.push(page.entries);
  cursor = page.next;
} while (cursor !== null);

console.log(
  JSON.stringify({
    public: public_,
    poor,
    payer,
    rich: {
      dearer,
      uploads: uploadsOfDearer,
      refusedByServer,
      agreed: agreed.creditsCharged,
      pages,
      balance: await jobs.balance(),
    },
  }),
);
process.exit(0);
