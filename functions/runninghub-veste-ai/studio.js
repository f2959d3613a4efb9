// What the studio asks for and shows; web/studio/tools.js explains the fields.

export default {
  rank: 4,
  icon: "shirt",
  files: [
    { name: "personImageUrl", accept: "image/*", label: "person" },
    { name: "clothingImageUrl", accept: "image/*", label: "clothing" },
  ],
  compares: "personImageUrl",
};
