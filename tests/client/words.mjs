// Prints the keys of every language's words, and the keys that each tool of the studio needs.

import { existsSync, readdirSync } from "node:fs";

const root = new URL("../../", import.meta.url);
const words = new URL("web/words/", root);
const functions = new URL("functions/", root);

/** The words of both pages, and those of the admin page alone. */
const languages = {};
for (const folder of [words, new URL("admin/", words)])
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".js"))) {
    const module = await import(new URL(file, folder));
    const language = file.replace(".js", "");
    languages[language] = [...(languages[language] ?? []), ...Object.keys(module.words)];
  }

const tools = {};
for (const tool of readdirSync(functions)) {
  const declaration = new URL(`${tool}/studio.js`, functions);
  if (!existsSync(declaration)) continue;
  const { default: declared } = await import(declaration);
  const { files = [], fields = [], piece = "step" } = declared;
  const options = fields.flatMap((field) => field.options ?? []);
  tools[tool] = [
    ...["tool", "about", "do"].map((kind) => `${kind}_${tool}`),
    `per_${piece}`,
    ...files.map(({ label }) => `drop_${label}`),
    ...fields.map(({ name }) => `field_${name}`),
    ...options.filter((option) => typeof option === "string").map((option) => `option_${option}`),
  ];
}
console.log(JSON.stringify({ languages, tools }));
