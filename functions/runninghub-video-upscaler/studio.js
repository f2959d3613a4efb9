// The tool's form and result in the studio; web/studio/tools.js explains the fields.

export default {
  rank: 2,
  icon: "video",
  files: [{ name: "videoUrl", accept: "video/*", label: "video" }],
  saves: "upscaled-video",
  result: "video",
};
