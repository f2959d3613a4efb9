// Takes the pictures of the documents: the studio, and the admin page in light and in dark colours,
// each on a desktop and on a phone.

import { createJobs } from "../../web/client.js";
import { client, signIn as signInClient } from "../client/stack.mjs";
import { png } from "../client/picture.mjs";
import { given, open, order, reached, script, tell } from "./tab.mjs";

const mix = (from, to, share) =>
  from.map((value, index) =>
    Math.round(value + (to[index] - value) * Math.min(1, Math.max(0, share))),
  );

/** A landscape of hills below a low sun, in the given colours. */
function landscape({ sky, glow, sun, ridges, at }) {
  let seed = 7;
  const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
  const stars = new Set(Array.from({ length: 110 }, () => random(230) * 960 + random(960)));
  return png(960, 640, (x, y) => {
    let colour = mix(sky, glow, y / 470);
    const distance = Math.hypot(x - at[0], y - at[1]);
    if (stars.has(y * 960 + x)) colour = [250, 248, 255];
    if (distance < 74) colour = mix([255, 250, 228], sun, distance / 74);
    else if (distance < 230) colour = mix(sun, colour, ((distance - 74) / 156) ** 0.6);
    ridges.forEach((ridge, n) => {
      const top =
        390 +
        n * 68 +
        Math.sin(x * (0.006 + n * 0.0032) + n * 1.9) * (44 - n * 7) +
        Math.sin(x * (0.017 + n * 0.006) + n) * 12;
      if (y > top) colour = mix(ridge, mix(ridge, [8, 10, 22], 0.55), (y - top) / 170);
    });
    return colour;
  });
}
const evening = landscape({
  sky: [22, 38, 92],
  glow: [252, 152, 98],
  sun: [255, 208, 122],
  ridges: [
    [116, 74, 106],
    [66, 50, 94],
    [26, 30, 62],
  ],
  at: [640, 322],
});
const morning = landscape({
  sky: [92, 168, 204],
  glow: [246, 228, 200],
  sun: [255, 232, 170],
  ridges: [
    [120, 160, 158],
    [62, 114, 118],
    [24, 62, 70],
  ],
  at: [300, 250],
});

const save = (tab, name, options) =>
  tab.screenshot({ path: `${given.folder}/${name}.png`, animations: "disabled", ...options });

async function finished(tab, picture, state = "done") {
  const id = await order(tab, picture);
  await tab.locator(`.stage-job[data-job="${id}"][data-state=${state}]`).waitFor();
  return id;
}

const desk = await open("/", {
  email: "user1@example.com",
  viewport: { width: 1360, height: 980 },
});
await finished(desk, morning);
await script({ runninghub: { times: 1, fail: "out of memory" } });
await finished(desk, morning, "failed");
const shown = await finished(desk, evening);
await desk.locator(".compare-size").filter({ hasText: "1920" }).waitFor();
await desk.locator(".history-row img").first().waitFor();
await desk.waitForLoadState("networkidle");
await desk.locator(".create").evaluate((panel) => panel.scrollTo(0, 0));
await save(desk, "studio");

const phone = await open(`/?job=${shown}`, {
  email: "user1@example.com",
  colorScheme: "dark",
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 1.5,
  isMobile: true,
  hasTouch: true,
});
await phone.locator(".compare-size").filter({ hasText: "1920" }).waitFor();
await phone.locator(".history-row img").first().waitFor();
await phone.locator(".stage").evaluate((stage) => stage.scrollIntoView());
await phone.waitForLoadState("networkidle");
await save(phone, "studio-phone");

// Other users' jobs keep the provider busy and one waits, so that the admin page has something to
// show.
await script({ reset: true });
await script({ runninghub: { all: true, hang: true } });
for (const email of [
  "user2@example.com",
  "user3@example.com",
  "user4@example.com",
  "user5@example.com",
]) {
  const supabase = client();
  await signInClient(supabase, email);
  const job = createJobs(supabase, { pollMs: 100 }).run("runninghub-upscaler", {
    file: new File([evening], "in.png", { type: "image/png" }),
  });
  await new Promise((resolve) =>
    job.subscribe(({ state }) => ["waiting", "running"].includes(state) && resolve()),
  );
}
await order(desk, morning);
await reached(desk, "waiting");

for (const [colorScheme, name] of [
  ["light", "admin"],
  ["dark", "admin-dark"],
]) {
  const admin = await open("/admin", {
    email: "admin1@example.com",
    colorScheme,
    viewport: { width: 1360, height: 1000 },
  });
  await admin.locator("tr[data-job]").first().waitFor();
  await admin.locator(".chart rect").first().waitFor();
  await save(admin, name);
  await admin.goto("/admin/jobs?status=completed");
  await admin.locator("tr[data-job] a.link").first().click();
  await admin.locator(".pair img").last().waitFor();
  await admin.waitForLoadState("networkidle");
  await save(admin, `${name}-job`);
  await admin.goto("/admin/money");
  await admin.locator(".view .panel").nth(1).waitFor();
  await save(admin, `${name}-money`);
  const pocket = await open("/admin", {
    email: "admin1@example.com",
    colorScheme,
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
    isMobile: true,
    hasTouch: true,
  });
  await pocket.locator("tr[data-job]").first().waitFor();
  await save(pocket, `${name}-phone`);
}
await tell({});
// The other users' clients still query their jobs, which would keep the process running.
process.exit(0);
