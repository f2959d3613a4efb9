// Opens a website's index.html in a headless browser, its files served from memory, and prints what
// a visitor sees.

import { text } from "node:stream/consumers";
import { chromium } from "playwright-core";

const files = new Map(
  JSON.parse(await text(process.stdin)).map(({ path, content }) => [`/${path}`, content]),
);
const types = { html: "text/html", css: "text/css", js: "text/javascript" };
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
try {
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("requestfailed", (request) => errors.push(`${request.url()} failed`));
  await page.route("**/*", (route) => {
    const { pathname } = new URL(route.request().url());
    const body = files.get(pathname);
    if (body === undefined)
      return pathname === "/favicon.ico" ? route.fulfill({ status: 204 }) : route.abort();
    return route.fulfill({
      body,
      contentType: `${types[pathname.split(".").pop()] ?? "text/plain"}; charset=utf-8`,
    });
  });
  await page.goto("http://site.invalid/index.html");
  const heading = await page.locator("h1").innerText();
  const status = await page.locator("#status").innerText();
  console.log(JSON.stringify({ heading, status, errors }));
} finally {
  await browser.close();
}
