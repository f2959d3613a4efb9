//! What several functions of one product share: their operations, inputs and replies.

pub mod runninghub;
pub mod website;
