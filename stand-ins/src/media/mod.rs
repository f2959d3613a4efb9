//! The media the providers' stand-ins really make, and the clips that tests feed them.
//!
//! | module | for |
//! |---|---|
//! | `picture` | pictures: one enlarged, two set side by side |
//! | `video` | a video enlarged |
//! | `clip`, `h264`, `mp4` | short videos without compression, written and read by ourselves |

mod clip;
mod h264;
mod mp4;
pub(crate) mod picture;
pub(crate) mod video;

pub use clip::{Clip, Frame};
