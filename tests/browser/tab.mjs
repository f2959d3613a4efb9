// The parts that all scenarios of this folder use: a browser, a signed-in tab, and a list of
// everything that goes wrong in it. A scenario acts as a user would and prints one JSON object; a
// test judges it.

import { chromium } from "playwright-core";
import { stack } from "../client/stack.mjs";

export { finish, given, script, stack, until } from "../client/stack.mjs";

// Chromium has no sandbox as root. The other flags stop its own requests.
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // The name of another machine in the network: a browser does not treat its page as secure.
  "--host-resolver-rules=MAP lan.test 127.0.0.1",
];

export const browser = await chromium.launch({ executablePath: stack.chromium, args: FLAGS });
/** What no page may do: violate its content security policy, throw, or call another origin. */
export const problems = [];

/** Opens a tab in a browser context of its own. `visits` are further origins that it may call. */
export async function open(path, { email, visits = [], ...options } = {}) {
  const context = await browser.newContext({
    viewport: { width: 1360, height: 900 },
    locale: "en-US",
    baseURL: stack.url,
    ...options,
  });
  context.setDefaultTimeout(stack.patienceMs);
  const tab = await context.newPage();
  const note = (kind, text) => problems.push(`${path}: ${kind}: ${text}`);
  tab.on("pageerror", (error) => note("error", error.message));
  tab.on(
    "console",
    (message) =>
      /Content.Security.Policy|Refused to|TrustedHTML/.test(message.text()) &&
      note("policy", message.text()),
  );
  tab.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (![stack.url, ...visits].includes(origin) && !["blob:", "data:"].includes(protocol))
      note("elsewhere", request.url());
  });
  await tab.goto(path);
  if (email) await signIn(tab, email);
  return tab;
}

export const passwordOf = (email) => stack.users.find((user) => user.email === email).password;

export async function signIn(tab, email) {
  await tab.getByLabel("E-mail").fill(email);
  await tab.getByLabel("Password").fill(passwordOf(email));
  await tab.getByRole("button", { name: "Sign in" }).click();
  await tab.locator("header.top").waitFor();
}

/** Counts the object URLs that a tab makes from now on, and those that are not revoked. */
export async function countUrls(tab) {
  await tab.evaluate(() => {
    const { createObjectURL, revokeObjectURL } = URL;
    const left = new Set();
    let made = 0;
    URL.createObjectURL = (file) => {
      const url = createObjectURL(file);
      made += 1;
      left.add(url);
      return url;
    };
    URL.revokeObjectURL = (url) => {
      left.delete(url);
      revokeObjectURL(url);
    };
    globalThis.objectUrls = () => ({ made, left: left.size });
  });
  return () => tab.evaluate(() => globalThis.objectUrls());
}

/** Chooses a picture and orders. Returns the job's id once the stage shows it. */
export async function order(tab, picture) {
  await tab
    .locator("[name=imageUrl]")
    .setInputFiles({ name: "in.png", mimeType: "image/png", buffer: picture });
  await tab.locator(".tool-form button[type=submit]").click();
  return tab.locator(".stage-job").getAttribute("data-job");
}

export const reached = (tab, state) => tab.locator(`.stage-job[data-state=${state}]`).waitFor();

/** Rows of a table, read with the service key. */
export async function rows(query) {
  const headers = {
    apikey: stack.serviceRoleKey,
    authorization: `Bearer ${stack.serviceRoleKey}`,
    "accept-profile": "unstuck",
  };
  const response = await fetch(`${stack.url}/rest/v1/${query}`, { headers });
  return response.json();
}

/** Closes the browser and prints what the scenario has seen. */
export async function tell(seen) {
  await browser.close();
  console.log(JSON.stringify({ ...seen, problems }));
}
