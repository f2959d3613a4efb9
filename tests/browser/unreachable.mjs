// A page that cannot read its settings says so, and retries when the user asks for it.

import { open, tell } from "./tab.mjs";

const tab = await open("about:blank");
let answers = "nothing";
await tab.route("**/config.json", (route) => {
  if (answers === "nothing") return route.abort();
  if (answers === "a page") return route.fulfill({ body: "<html>", contentType: "text/html" });
  return route.continue();
});
const seen = {};
for (const path of ["/", "/admin"]) {
  answers = "nothing";
  await tab.goto(path);
  const retry = tab.getByRole("button", { name: "Retry" });
  await retry.waitFor();
  seen[path] = await tab.locator(".notice").innerText();
  answers = "a page";
  await retry.click();
  await retry.waitFor();
  answers = "settings";
  await retry.click();
  await tab.getByLabel("E-mail").waitFor();
}
// At first the tools cannot be read; then they can.
await tab.goto("/");
await tab.route("**/rest/v1/tools?*", (route) => route.abort());
await tab.getByLabel("E-mail").fill("user1@example.com");
await tab.getByLabel("Password").fill("password-1234");
await tab.getByRole("button", { name: "Sign in" }).click();
const retry = tab.locator(".tool-panel").getByRole("button", { name: "Retry" });
await retry.waitFor();
await tab.unroute("**/rest/v1/tools?*");
await retry.click();
const tools = tab.locator(".tool");
await tools.first().waitFor();
await tell({ seen, tools: await tools.count() });
