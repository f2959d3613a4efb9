//! Notes that show which parts of a deployment are running.

rpc! {
    /// Notes that an event of the platform, a cron or a queue's message, has reached a function.
    void event_seen_v1(function: &str, event: &str);
}
