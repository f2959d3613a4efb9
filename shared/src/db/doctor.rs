//! The notes that show what of a deployment is at work.

rpc! {
    /// Notes that an event of the platform, a cron or a queue's message, reached a function.
    void event_seen_v1(function: &str, event: &str);
}
