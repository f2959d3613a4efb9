// The tool's form and result in the studio; web/studio/tools.js explains the fields.

export default {
  rank: 7,
  icon: "website",
  fields: [
    { name: "prompt", type: "text", max: 10_000 },
    { name: "siteName", type: "line", max: 200, optional: true },
  ],
  saves: "website",
  result: "files",
  previews: true,
};
