// What the studio asks for and shows; web/studio/tools.js explains the fields.

export default {
  rank: 2,
  icon: "video",
  files: [{ name: "videoUrl", accept: "video/*", label: "video" }],
  result: "video",
};
