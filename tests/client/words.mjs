// Prints the keys of the words of every language: what `t` of web/words.js can be asked for.

import { readdirSync } from "node:fs";

const folder = new URL("../../web/words/", import.meta.url);
const keys = {};
for (const file of readdirSync(folder)) {
  const { words } = await import(new URL(file, folder));
  keys[file.replace(".js", "")] = Object.keys(words);
}
console.log(JSON.stringify(keys));
