//! `runninghub-queue-manager`
