// A new user makes an account, resets the password, and signs in by a link from a mail, on a phone.

import { given, open, stack, tell } from "./tab.mjs";

const EMAIL = "new@example.com";
const tab = await open("/", {
  viewport: { width: 390, height: 844 },
  isMobile: true,
  hasTouch: true,
});

/** The link in the newest mail. */
async function link() {
  const mails = await (await fetch(`${stack.url}/__mail`)).json();
  return mails.at(-1).link;
}
const said = () => tab.locator(".problem:not([hidden])").innerText();
const press = (name) => tab.getByRole("button", { name, exact: true }).click();
const isIn = () => tab.locator("header.top").waitFor();
const wide = () => tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);

await press("Create an account");
const focus = await tab.evaluate(() => document.activeElement.name);
await tab.getByLabel("E-mail").fill(EMAIL);
await tab.getByLabel("Password").fill("short");
await press("Create account");
const weak = await said();
await tab.getByLabel("Password").fill("password-5678");
await press("Create account");
await tab.getByRole("heading", { name: "Check your e-mail" }).waitFor();
const mailed = await tab.locator(".door-form").innerText();
const widths = [await wide()];
await press("Back to sign in");
const kept = await tab.getByLabel("E-mail").inputValue();
await tab.getByLabel("Password").fill("password-5678");
await press("Sign in");
const unconfirmed = await said();
const first = await link();
await tab.goto(first);
await isIn();
const address = await tab.evaluate(() => location.hash);
const wallet = tab.locator("[data-balance]").filter({ hasText: given.credits });
const balance = await wallet.innerText();
await press("Sign out");

await tab.getByLabel("E-mail").waitFor();
await press("Forgot it?");
await tab.getByLabel("E-mail").fill(EMAIL);
await press("Send the link");
await tab.getByRole("heading", { name: "Check your e-mail" }).waitFor();
await tab.goto(await link());
await tab.getByLabel("New password").fill("password-5678");
await press("Save the password");
const same = await said();
widths.push(await wide());
await tab.getByLabel("New password").fill("password-9999");
await press("Save the password");
await isIn();
await press("Sign out");
await tab.getByLabel("E-mail").fill(EMAIL);
await tab.getByLabel("Password").fill("password-5678");
await press("Sign in");
const old = await said();

// The page explains that a used link is no longer valid. A link for an unknown address is not
// refused, so that nobody learns whether it has an account.
await tab.goto(first);
const used = await said();
await press("E-mail me a link");
await tab.getByLabel("E-mail").fill("nobody@example.com");
await press("Send the link");
await tab.getByRole("heading", { name: "Check your e-mail" }).waitFor();
const silent = await tab.locator(".door-form").innerText();
await press("Back to sign in");
await press("E-mail me a link");
await tab.getByLabel("E-mail").fill("user2@example.com");
await press("Send the link");
await tab.getByRole("heading", { name: "Check your e-mail" }).waitFor();
await tab.goto(await link());
await isIn();
await tell({
  focus,
  weak,
  mailed,
  kept,
  unconfirmed,
  address,
  balance,
  same,
  old,
  used,
  silent,
  widths,
});
