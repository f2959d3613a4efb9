//! The media that the providers' stand-ins make, and the clips that tests upload.
//!
//! | module | for |
//! |---|---|
//! | `picture` | pictures: drawn, enlarged, or two side by side |
//! | `video` | sample clips, and enlarged videos |
//! | `mp4` | the tables of an MP4 file, without its frames |

mod mp4;
pub(crate) mod picture;
pub(crate) mod video;

pub use mp4::Mp4Tables;
pub use picture::png;
pub use video::{LONG_CLIP, SHORT_CLIP, SampleClip};
