//! What several functions of one product share: inputs, operations and replies.

#[cfg(feature = "edge")]
pub mod runninghub;
pub mod runninghub_reply;
#[cfg(feature = "edge")]
pub mod website;
