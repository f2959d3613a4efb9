//! The operations, inputs and replies that several functions of one product share.

pub mod bulk;
pub mod prometheus;
pub mod runninghub;
pub mod settings;
pub mod website;
