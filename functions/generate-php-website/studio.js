// The tool's form and result in the studio, the same as of `generate-website`.

import website from "../generate-website/studio.js";

export default { ...website, rank: 9, icon: "php", previews: false };
