// The form's order as code: with the client package, and with curl.

import { button, h, icon, toast } from "../elements.js";
import { bucket, functionsUrl, supabase } from "../project.js";
import { t } from "../words.js";
import { declared, order } from "./tools.js";

/** Makes the code of a form; `get` returns the form's present values. */
export function createCode(tool, { user, get }) {
  const element = h("div", { class: "code" });
  const show = () => {
    const made = [
      ["code_client", clientCode(tool, get())],
      ["code_curl", curlCode(tool, get(), user)],
    ];
    element.replaceChildren(
      h("p", { class: "muted small" }, t("code_text")),
      ...made.map(([name, text]) => block(name, text)),
    );
  };
  return { element, show };
}

function block(name, text) {
  const copy = async () => {
    const done = await navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
    toast(t(done ? "copy_done" : "copy_failed"), done ? "good" : "bad");
  };
  const label = { "aria-label": t("copy_what", { what: t(name) }) };
  const copier = button([icon("copy", 16), t("copy")], copy, "quiet small", label);
  return h(
    "section",
    { class: "code-block", "data-code": name },
    h("header", {}, h("h3", {}, t(name)), copier),
    h("pre", { tabindex: 0, role: "region", "aria-label": t(name) }, h("code", {}, text)),
  );
}

/** Replaces each file in an order by a name, and lists the files with their names. */
function named(value, files = []) {
  if (value instanceof Blob || value === FILE) {
    files.push({ name: `file${files.length + 1}`, file: value });
    return { files, value: new Name(files.at(-1).name) };
  }
  if (Array.isArray(value)) return { files, value: value.map((part) => named(part, files).value) };
  if (value === null || typeof value !== "object") return { files, value };
  const parts = Object.entries(value).map(([name, part]) => [name, named(part, files).value]);
  return { files, value: Object.fromEntries(parts) };
}

/** Stands for a file that is not chosen yet. */
const FILE = Symbol("file");

/** The name of a variable that holds a file. */
class Name {
  constructor(text) {
    this.text = text;
  }
}

function clientCode(tool, values) {
  const { files, value } = named(wholeOrder(tool, values));
  const given = files.map(
    ({ name, file }) => `// ${name}: a File${file.name ? `, ${file.name}` : ""}\n`,
  );
  const isUsual = bucket === undefined || bucket === "uploads";
  const ownBucket = isUsual ? "" : `\n  bucket: ${JSON.stringify(bucket)},`;
  return `import { createClient } from "@supabase/supabase-js";
import { createJobs } from "@unstuck/client";

const supabase = createClient(
  ${JSON.stringify(supabase.supabaseUrl)},
  ${JSON.stringify(supabase.supabaseKey)},
);
await supabase.auth.signInWithPassword({ email, password });
const jobs = createJobs(supabase, {
  functionsUrl: ${JSON.stringify(functionsUrl)},${ownBucket}
});

${given.join("")}const job = jobs.run(${JSON.stringify(tool)}, ${script(value, "")});
job.subscribe(({ state, position }) => console.log(state, position));
const { outputUrl, answer } = await job.result;
`;
}

/** A value as JavaScript code. */
function script(value, indent) {
  if (value instanceof Name) return value.text;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}  `;
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((part) => script(part, inner))
    : Object.entries(value).map(([name, part]) => `${name}: ${script(part, inner)}`);
  const [open, close] = isList ? "[]" : "{}";
  const isShort = isList && value.every((part) => typeof part !== "object");
  if (isShort || parts.length === 0) return `${open}${parts.join(", ")}${close}`;
  return `${open}\n${parts.map((part) => `${inner}${part},\n`).join("")}${indent}${close}`;
}

function curlCode(tool, values, user) {
  const { files, value } = named(wholeOrder(tool, values));
  const body = { tool, jobId: new Name("job"), input: value };
  const uploads = files.map(
    ({ name, file }) => `${name}="${bucket ?? "uploads"}/$user/$job/${name}.${extension(file)}"
curl -sS "$project/storage/v1/object/$${name}" \\
  -H "Authorization: Bearer $TOKEN" -H "apikey: $key" \\
  -H "Content-Type: ${file.type || "image/png"}" \\
  --data-binary @${quoted(file.name ?? `${name}.png`)}
${name}="$project/storage/v1/object/public/$${name}"
`,
  );
  return `# TOKEN: the access token of a signed-in user
project=${quoted(supabase.supabaseUrl)}
key=${quoted(supabase.supabaseKey)}
user=${quoted(user.id)}
job=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen)
${uploads.join("")}
curl -sS ${quoted(`${functionsUrl}/jobs`)} \\
  -H "Authorization: Bearer $TOKEN" -H "apikey: $key" \\
  -H "Content-Type: application/json" \\
  --data-binary @- <<JSON
${json(body, "")}
JSON

curl -sS "${functionsUrl}/jobs/$job" \\
  -H "Authorization: Bearer $TOKEN" -H "apikey: $key"
`;
}

/** A value as JSON within a here-document of the shell, where a file's name is a variable. */
function json(value, indent) {
  if (value instanceof Name) return `"$${value.text}"`;
  if (value === null || typeof value !== "object")
    return JSON.stringify(value).replace(/[\\$`]/g, "\\$&");
  const inner = `${indent}  `;
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((part) => json(part, inner))
    : Object.entries(value).map(([name, part]) => `"${name}": ${json(part, inner)}`);
  const [open, close] = isList ? "[]" : "{}";
  return `${open}\n${parts.map((part) => inner + part).join(",\n")}\n${indent}${close}`;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const extension = (file) => file.name?.match(/\.(\w{2,5})$/)?.[1].toLowerCase() ?? "png";

/** The order for the form's values, with `FILE` in place of files that are not chosen yet. */
function wholeOrder(tool, values) {
  const missing = declared(tool).files.filter(
    ({ name }) => !([values[name] ?? []].flat().length > 0),
  );
  const signs = missing.map(({ name, many }) => [name, many ? [FILE] : FILE]);
  return order(tool, { ...values, ...Object.fromEntries(signs) });
}
