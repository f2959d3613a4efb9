// What the studio asks for and shows: the same as of a website of plain files.

import website from "../generate-website/studio.js";

export default { ...website, rank: 9 };
