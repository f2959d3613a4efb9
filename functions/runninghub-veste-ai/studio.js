// The tool's form and result in the studio; web/studio/tools.js explains the fields.

export default {
  rank: 4,
  icon: "shirt",
  files: [
    { name: "personImageUrl", accept: "image/*", label: "person" },
    { name: "clothingImageUrl", accept: "image/*", label: "clothing" },
  ],
  saves: "try-on",
  compares: "personImageUrl",
};
