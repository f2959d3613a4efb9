// The tool's form and result in the studio; web/studio/tools.js explains the fields.

export default {
  rank: 6,
  icon: "outfit",
  files: [
    { name: "person_image", accept: "image/*", label: "person" },
    { name: "garments", accept: "image/*", label: "garments", many: 5 },
  ],
  fields: [
    {
      name: "category",
      type: "choice",
      options: ["upper_body", "lower_body", "dresses"],
      preset: "upper_body",
    },
  ],
  piece: "garment",
  order: ({ person_image, garments, category }) => ({
    person_image,
    garments: garments.map((image) => ({ image, category })),
  }),
  values: ({ garments, ...rest }) => ({
    ...rest,
    garments: garments.map(({ image }) => image),
    category: garments[0]?.category,
  }),
  saves: "outfit",
  compares: "person_image",
};
