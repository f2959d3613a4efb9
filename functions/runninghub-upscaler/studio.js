// The tool's form and result in the studio; web/studio/tools.js explains the fields.

export default {
  rank: 1,
  icon: "picture",
  files: [{ name: "imageUrl", accept: "image/*", label: "picture" }],
  fields: [
    {
      name: "resolution",
      type: "choice",
      options: [1024, 2048, 4096, 8192],
      preset: 2048,
      unit: "px",
    },
    { name: "version", type: "choice", options: ["standard", "pro"], preset: "standard" },
    { name: "prompt", type: "text", max: 2000, optional: true },
  ],
  saves: "upscaled",
  compares: "imageUrl",
};
