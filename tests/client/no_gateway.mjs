// Runs web/client.js with an address where no gateway answers: a plain project's functions.

import { createServer } from "node:http";
import { createJobs } from "../../web/client.js";
import { picture } from "./picture.mjs";
import { client, signIn, stack } from "./stack.mjs";

const asked = [];
const plain = createServer((request, response) => {
  asked.push(request.url);
  response.writeHead(404, { "content-type": "application/json" });
  response.end(`{"code":"NOT_FOUND","message":"Requested function was not found"}`);
});
await new Promise((listening) => plain.listen(0, "127.0.0.1", listening));
const functionsUrl = `http://127.0.0.1:${plain.address().port}/functions/v1`;

const supabase = client();
await signIn(supabase, "user1@example.com");
const input = () => ({ file: new File([picture()], "in.png", { type: "image/png" }) });
const refused = createJobs(supabase, { functionsUrl }).run("runninghub-upscaler", input());
const error = await refused.result.catch((reason) => reason);
const right = createJobs(supabase, { functionsUrl: `${stack.url}/functions/v1`, pollMs: 50 });
const { state } = await right.run("runninghub-upscaler", input()).result;

console.log(
  JSON.stringify({
    functionsUrl,
    asked,
    code: error.code,
    message: error.message,
    right: state,
  }),
);
process.exit(0);
