// What each tool asks for, in one table; that it exists and what it costs is in the database. A tool without a line here
// is not offered. `files` and `fields` make the form, `steps` counts what is priced, `order` makes the request.

const person = { name: "personImageUrl", accept: "image/*", label: "person" };

export const FORMS = {
  "runninghub-upscaler": {
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
      { name: "prompt", type: "text", max: 2000, optional: true },
    ],
    compares: "imageUrl",
  },
  "runninghub-video-upscaler": {
    icon: "video",
    files: [{ name: "videoUrl", accept: "video/*", label: "video" }],
    fields: [],
  },
  "runninghub-pose-changer": {
    icon: "pose",
    files: [person, { name: "referenceImageUrl", accept: "image/*", label: "reference" }],
    fields: [],
    compares: "personImageUrl",
  },
  "runninghub-veste-ai": {
    icon: "shirt",
    files: [person, { name: "clothingImageUrl", accept: "image/*", label: "clothing" }],
    fields: [],
    compares: "personImageUrl",
  },
  "create-generation-job-banana": {
    icon: "cards",
    files: [{ name: "product", accept: "image/*", label: "product", many: 4 }],
    fields: [
      { name: "productName", type: "line", max: 200 },
      { name: "description", type: "text", max: 2000, optional: true },
      { name: "cards", type: "choice", options: [1, 2, 3, 4, 5, 6, 7], preset: 3 },
    ],
    steps: ({ cards }) => cards,
    order: ({ product, cards, ...rest }) => ({
      ...rest,
      productImages: product.map((url) => ({ url })),
      selectedCards: Array.from({ length: cards }, (_, index) => index),
    }),
  },
  "replicate-async-start": {
    icon: "chain",
    files: [
      { ...person, name: "person_image" },
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
    steps: ({ garments }) => garments?.length || 1,
    order: ({ person_image, garments, category }) => ({
      person_image,
      garments: garments.map((image) => ({ image, category })),
    }),
    compares: "person_image",
  },
  "generate-website": { icon: "site", ...site() },
  "generate-react-website": { icon: "site", ...site() },
  "generate-php-website": { icon: "site", ...site() },
};

function site() {
  return {
    files: [],
    fields: [
      { name: "prompt", type: "text", max: 10_000 },
      { name: "siteName", type: "line", max: 200, optional: true },
    ],
  };
}

/** What an order costs as the form stands. */
export function price(tool, values) {
  const steps = tool.priced_per === "step" ? (FORMS[tool.tool].steps?.(values) ?? 1) : 1;
  return tool.credit_cost * steps;
}

/** The request for the values of a form: what was left empty is left out. */
export function order(tool, values) {
  const given = Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== "" && value !== null),
  );
  return FORMS[tool].order?.(given) ?? given;
}
