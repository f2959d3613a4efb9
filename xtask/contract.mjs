// Prints packages/client/src/contract.ts: what openapi.yaml says of the tools' inputs and answers
// and of the codes of errors, as TypeScript.

import { readFileSync } from "node:fs";
import { format, resolveConfig } from "prettier";
import { parse } from "yaml";

const FILE = "packages/client/src/contract.ts";
const WIDTH = 100;
/** What names an order, its page and its payer. The client says these itself. */
const NAMES =
  "jobId job_id sessionId session_id maxCredits max_credits onBehalfOf retryHistoryId".split(" ");
/** Where a job is looked at, unless it is where it was ordered or at its `queue-status`. */
const STATUS = { "replicate-async-start": "/replicate-async-status" };
/** Schemas that keep their name; all others are written out where they are used. */
const NAMED = ["InputUrl", "AspectRatio", "CardNumber", "ErrorCode", "JobErrorCode", "ToolStatus"];

const contract = parse(readFileSync("openapi.yaml", "utf8"));

const at = (reference) =>
  reference
    .slice("#/".length)
    .split("/")
    .reduce((value, key) => value[key], contract);

/** The schema that a reference names. A description beside the reference wins. */
const resolved = (schema) => (schema.$ref ? { ...resolved(at(schema.$ref)), ...schema } : schema);

/** A schema without `allOf`; of several ways to fill it in, the first. */
function merged(given) {
  const { allOf = [], ...schema } = resolved(given);
  const parts = [...allOf.map(merged), schema];
  const all = (key) => parts.map((part) => part[key]).filter(Boolean);
  const ways = [schema.anyOf?.[0].required].filter(Boolean);
  return {
    ...schema,
    properties: Object.assign({}, ...all("properties")),
    required: [...all("required"), ...ways].flat(),
  };
}

/** A comment, broken into lines. */
function comment(text, indent) {
  if (!text) return "";
  const [pad, lines] = [" ".repeat(indent), [""]];
  for (const word of text.replaceAll("*/", "* /").split(/\s+/)) {
    const line = lines.at(-1);
    const longer = line ? `${line} ${word}` : word;
    if (pad.length + " * ".length + longer.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  if (lines.length === 1 && pad.length + lines[0].length + "/**  */".length <= WIDTH)
    return `${pad}/** ${lines[0]} */\n`;
  return `${pad}/**\n${lines.map((line) => `${pad} * ${line}\n`).join("")}${pad} */\n`;
}

const counted = (number, unit) => `${number} ${unit}${number === 1 ? "" : "s"}`;

/** Between which bounds something is, as it is said: "1 to 5 items". */
function range(least, most, unit = "") {
  const amount = (number) => (unit ? counted(number, unit) : `${number}`);
  if (most === undefined) return least > 1 ? `At least ${amount(least)}` : "";
  if (least === undefined || (unit && !least)) return `At most ${amount(most)}`;
  return `${least} to ${amount(most)}`;
}

/** What a type cannot say. */
function limits(schema) {
  const { minimum, exclusiveMinimum, maximum, examples, format: form } = schema;
  const shown = form === "uuid" || form === "uri" ? undefined : examples?.[0];
  return [
    exclusiveMinimum === undefined ? "" : `More than ${exclusiveMinimum}`,
    range(minimum, maximum),
    range(schema.minLength, schema.maxLength, "character"),
    range(schema.minItems, schema.maxItems, "item"),
    schema.default === undefined ? "" : `${JSON.stringify(schema.default)} if left out`,
    shown === undefined ? "" : `For example ${JSON.stringify(shown)}`,
  ];
}

function explained(given) {
  const schema = resolved(given);
  const said = schema.description?.trim().replace(/\.$/, "");
  const isFile = given.$ref?.endsWith("/InputUrl");
  const all = [said, ...(isFile ? [] : limits(schema))].filter(Boolean);
  return all.length > 1 ? `${all.join(". ")}.` : all.join("");
}

const literal = (value) => JSON.stringify(value);
const union = (types) => [...new Set(types)].join(" | ");

/** Members of a union, each with its own comment. */
const choices = (list, indent) =>
  list
    .map(
      (one) => `\n${comment(one.description, indent)}${" ".repeat(indent)}| ${literal(one.const)}`,
    )
    .join("");

/** The fields of an object, but those left out. */
function fields(schema, indent, without = []) {
  const { properties, required } = merged(schema);
  return Object.entries(properties)
    .filter(([name]) => !without.includes(name))
    .map(([name, field]) => {
      const [mark, none] = required.includes(name) ? [":", ""] : ["?:", " | undefined"];
      const pad = " ".repeat(indent);
      const said = comment(explained(field), indent);
      return `${said}${pad}${name}${mark} ${type(field, indent)}${none};\n`;
    })
    .join("");
}

const PLAIN = { string: "string", integer: "number", number: "number", boolean: "boolean" };

/** The type of a schema that begins at that column. */
function type(given, indent) {
  const name = given.$ref?.split("/").at(-1);
  if (NAMED.includes(name)) return name;
  const schema = resolved(given);
  if (schema.const !== undefined) return literal(schema.const);
  if (schema.enum) return union(schema.enum.map(literal));
  const either = schema.oneOf ?? schema.anyOf;
  if (either && !schema.properties) {
    if (either.every((one) => one.const !== undefined)) return choices(either, indent + 2);
    return union(either.map((one) => type(one, indent)));
  }
  const kinds = [schema.type].flat();
  return union(kinds.map((kind) => ofKind(kind, schema, indent)));
}

function ofKind(kind, schema, indent) {
  if (kind === "null") return "null";
  if (kind === "array") {
    const item = type(schema.items, indent);
    return /^\w+$/.test(item) ? `${item}[]` : `Array<${item}>`;
  }
  if (kind !== "object") return PLAIN[kind] ?? "unknown";
  const listed = fields(schema, indent + 2);
  return listed ? `{\n${listed}${" ".repeat(indent)}}` : "Record<string, unknown>";
}

const tools = contract.components.schemas.ToolName.enum;
const operation = (tool, path, method) =>
  (contract.paths[`/${tool}/${path}`] ?? contract.paths[`/${tool}`])[method];
const body = (content) => resolved(content).content["application/json"].schema;

/** An entry of each tool. One whose schema is another's names that one. */
function entries(of, schemaOf, write) {
  const known = new Map();
  const lines = tools.map((tool) => {
    const { summary, schema } = schemaOf(tool);
    const twin = known.get(schema);
    known.set(schema, twin ?? tool);
    const value = twin ? `${of}["${twin}"]` : write(schema);
    return `${comment(summary, 2)}  "${tool}": ${value};\n`;
  });
  return `export interface ${of} {\n${lines.join("\n")}}\n`;
}

const inputs = entries(
  "ToolInputs",
  (tool) => {
    const { summary, requestBody } = operation(tool, "run", "post");
    return { summary, schema: body(requestBody) };
  },
  (schema) => `{\n${fields(schema, 4, NAMES)}  }`,
);

const answers = entries(
  "ToolAnswers",
  (tool) => {
    const look = STATUS[tool]
      ? contract.paths[STATUS[tool]].get
      : operation(tool, "queue-status", "get");
    return { summary: look.summary, schema: body(look.responses[200]) };
  },
  (schema) => `{\n${fields(schema, 4)}  }`,
);

/** A schema under its own name. A file's URL may be the file, which the client uploads. */
function named(name) {
  const value = contract.components.schemas[name];
  const [what, said] =
    name === "InputUrl"
      ? ["string | Blob", `${value.description}; or the file, which is uploaded`]
      : [type(value, 0), value.description];
  return `${comment(said, 0)}export type ${name} = ${what};\n`;
}

const OWN = "A deployment with tools of its own adds them to these two.";

const text = `// Made from openapi.yaml by \`cargo xtask generate\`, which writes over every change.

/** What each tool takes. ${OWN} */
${inputs}
/** What each tool tells of its job: \`Update.answer\`. */
${answers}
export type ToolName = keyof ToolInputs;

${NAMED.map(named).join("\n")}`;

process.stdout.write(await format(text, { ...(await resolveConfig(FILE)), parser: "typescript" }));
