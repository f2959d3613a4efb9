// What the studio asks for and shows; web/studio/tools.js explains the fields.

export default {
  rank: 3,
  icon: "pose",
  files: [
    { name: "personImageUrl", accept: "image/*", label: "person" },
    { name: "referenceImageUrl", accept: "image/*", label: "reference" },
  ],
  compares: "personImageUrl",
};
