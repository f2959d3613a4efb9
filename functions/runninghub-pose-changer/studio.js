// The tool's form and result in the studio; web/studio/tools.js explains the fields.

export default {
  rank: 3,
  icon: "pose",
  files: [
    { name: "personImageUrl", accept: "image/*", label: "person" },
    { name: "referenceImageUrl", accept: "image/*", label: "reference" },
  ],
  saves: "pose",
  compares: "personImageUrl",
};
