//! The media that the providers' stand-ins really make, and the clips that tests upload.
//!
//! | module | for |
//! |---|---|
//! | `picture` | pictures: one made, one enlarged, two set side by side |
//! | `video` | sample clips, and a video enlarged |
//! | `mp4` | what the tables of an MP4 file say, without its frames |

mod mp4;
pub(crate) mod picture;
pub(crate) mod video;

pub use mp4::Mp4Tables;
pub use picture::png;
pub use video::{LONG_CLIP, SHORT_CLIP, SampleClip};
