// Prints the keys of every language's words, and the keys that each tool of the studio needs.

import { existsSync, readdirSync } from "node:fs";

const root = new URL("../../", import.meta.url);
const words = new URL("web/words/", root);
const functions = new URL("functions/", root);

const languages = {};
for (const file of readdirSync(words)) {
  const module = await import(new URL(file, words));
  languages[file.replace(".js", "")] = Object.keys(module.words);
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
