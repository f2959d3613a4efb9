// The tool's form and result in the studio; web/studio/tools.js explains the fields.

export default {
  rank: 5,
  icon: "cards",
  files: [{ name: "product", accept: "image/*", label: "product", many: 4 }],
  fields: [
    { name: "productName", type: "line", max: 200 },
    { name: "description", type: "text", max: 2000, optional: true },
    {
      name: "cards",
      type: "several",
      options: [0, 1, 2, 3, 4, 5, 6],
      words: "card",
      preset: [0, 1, 2],
    },
  ],
  piece: "card",
  order: ({ product, cards, ...rest }) => ({
    ...rest,
    productImages: product.map((url) => ({ url })),
    selectedCards: cards,
  }),
  values: ({ productImages, selectedCards, ...rest }) => ({
    ...rest,
    product: productImages.map(({ url }) => url),
    cards: selectedCards,
  }),
  saves: "cards",
  result: "cards",
};
