// A user who is no admin opens the admin page, then sends by hand the requests that it would send.

import { given, open, stack, tell } from "./tab.mjs";

const asked = [];
const tab = await open("/admin");
tab.on("request", (request) => asked.push(new URL(request.url()).pathname));
await tab.getByLabel("E-mail").fill("user1@example.com");
await tab.getByLabel("Password").fill(stack.users[0].password);
await tab.getByRole("button", { name: "Sign in" }).click();
const notice = await tab.locator(".notice .panel").innerText();
const byThePage = [...asked];
const byHand = await tab.evaluate(
  async ({ key, job }) => {
    const session = JSON.parse(
      Object.entries(localStorage).find(([name]) => name.endsWith("auth-token"))[1],
    );
    const headers = {
      apikey: key,
      authorization: `Bearer ${session.access_token}`,
      "content-type": "application/json",
      "accept-profile": "unstuck",
    };
    const read = async (path) => (await fetch(`/rest/v1/${path}`, { headers })).json();
    const cancel = await fetch("/functions/v1/admin-cancel-job", {
      method: "POST",
      headers,
      body: JSON.stringify({ table: "upscaler_jobs", jobId: job }),
    });
    const tables = [
      "jobs",
      "job_steps",
      "job_events",
      "credit_entries",
      "job_receipts",
      "invariant_violations",
      "queue_positions",
      "provider_load",
      "jobs_by_hour",
      "job_health",
    ];
    return {
      cancel: cancel.status,
      rows: Object.fromEntries(
        await Promise.all(
          tables.map(async (name) => [name, await read(`${name}?select=*&limit=5`)]),
        ),
      ),
    };
  },
  { key: stack.anonKey, job: given.job },
);
await tell({ notice, asked: byThePage, byHand });
