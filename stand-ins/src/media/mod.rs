//! The media that the providers' stand-ins make, and two short clips that tests upload.
//!
//! | module | for |
//! |---|---|
//! | `picture` | enlarges a picture, sets two side by side |
//! | `video` | enlarges a video, reads its size and frames |
//!
//! The clips are libx264's (baseline profile, ten frames a second):
//! `ffmpeg -f lavfi -i testsrc=size=160x96:rate=10 -frames:v 30 -c:v libx264 -profile:v baseline
//! -pix_fmt yuv420p -crf 45 -bitexact -movflags +faststart clip-160x96.mp4`.

pub(crate) mod picture;
pub(crate) mod video;

pub use video::VideoContent;

/// An MP4 of 32 × 16 pixels and 3 frames.
pub const SHORT_CLIP: &[u8] = include_bytes!("clip-32x16.mp4");
/// An MP4 of 160 × 96 pixels and 30 frames.
pub const LONG_CLIP: &[u8] = include_bytes!("clip-160x96.mp4");
