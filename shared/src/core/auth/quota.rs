//! The rate limits of users' calls.

/// The limit that an operation's calls count against. Every operation that admits users counts
/// against exactly one. The service's calls are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// The operation costs credits. Anonymous users are refused unless the settings allow them.
    Order,
    /// The operation reads and changes nothing.
    Read,
    /// Everything else.
    Other,
}

impl Quota {
    /// The name of the rate limiter's binding in wrangler.toml.
    pub const fn binding(self) -> &'static str {
        match self {
            Quota::Order => "RATE_LIMIT",
            Quota::Read => "READ_LIMIT",
            Quota::Other => "OTHER_LIMIT",
        }
    }
}
