// Renders the hooks where there is no browser, and counts what was asked meanwhile.

import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { createClient } from "@supabase/supabase-js";
import { createJobs } from "@unstuck/client";
import { JobsProvider, useBalance, useJob, useJobList, useTools } from "@unstuck/react";

let asked = 0;
const fetch = () => {
  asked += 1;
  return Promise.reject(new Error("nothing is asked on a server"));
};
globalThis.fetch = fetch;
const jobs = createJobs(createClient("http://project.invalid", "key", { global: { fetch } }));

function Page() {
  const shown = [
    useJobList().length,
    useBalance(),
    useTools().value,
    useJob("0b8f2c5e-6a34-4a86-8f58-0f6b5a1c9d21").update,
  ];
  return createElement("p", null, shown.map(String).join(" "));
}

const html = renderToString(createElement(JobsProvider, { jobs }, createElement(Page)));
console.log(JSON.stringify({ html, asked }));
process.exit();
