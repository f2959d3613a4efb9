//! What a deployment lacks, as far as its database can tell, and the notes that this needs.

rpc! {
    /// Notes that an event of the platform, a cron or a queue's message, reached a function.
    void event_seen_v1(function: &str, event: &str);
}
