//! `runninghub-upscaler`
