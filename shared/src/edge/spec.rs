//! What a function says of itself, and which of its operations a request means.
//!
//! Pure: it sees a method and a path, never a request.

use crate::core::auth::Policy;
use crate::core::error::{ApiError, ErrorCode};

/// One function.
#[derive(Debug)]
pub struct Spec {
    pub name: &'static str,
    pub ops: &'static [Op],
    pub body_bytes_max: usize,
    /// Variables without which no call can work: checked before anything is done.
    pub requires: &'static [&'static str],
}

/// 256 KB, the limit for everything but webhooks.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// 1 MB, the limit for webhooks.
pub const WEBHOOK_BYTES_MAX: usize = 1024 * 1024;

/// What no function that hands steps over to Replicate can work without.
pub const REPLICATE_SETTINGS: &[&str] = &[
    "SUPABASE_URL",
    "SUPABASE_SERVICE_ROLE_KEY",
    "FUNCTIONS_URL",
    "WEBHOOK_SECRET",
    "REPLICATE_BASE_URL",
    "REPLICATE_API_TOKEN",
];

/// How often a user may call an operation: every one that lets users in counts against exactly one
/// of these. Calls of the service are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Costs credits; anonymous users are refused unless the configuration allows them.
    Order,
    /// Reads how something stands and changes nothing.
    Read,
    /// Everything else.
    Other,
}

impl Quota {
    /// The rate limiter's binding in wrangler.toml.
    pub const fn binding(self) -> &'static str {
        match self {
            Quota::Order => "RATE_LIMIT",
            Quota::Read => "READ_LIMIT",
            Quota::Other => "OTHER_LIMIT",
        }
    }
}

/// One operation of a function.
#[derive(Debug)]
pub struct Op {
    /// The path segment after the function's name; empty for the function itself.
    pub op: &'static str,
    pub methods: &'static [&'static str],
    pub policy: Policy,
    /// What a user's call is counted as.
    pub quota: Quota,
    /// More path segments may follow; the handler gets them as `path_tail`.
    pub tail: bool,
}

impl Op {
    pub const fn new(op: &'static str, methods: &'static [&'static str], policy: Policy) -> Op {
        Op { op, methods, policy, quota: Quota::Other, tail: false }
    }

    /// It costs credits.
    #[must_use]
    pub const fn charging(mut self) -> Op {
        self.quota = Quota::Order;
        self
    }

    /// It only reads.
    #[must_use]
    pub const fn reading(mut self) -> Op {
        self.quota = Quota::Read;
        self
    }

    pub fn charges(&self) -> bool {
        self.quota == Quota::Order
    }

    #[must_use]
    pub const fn with_tail(mut self) -> Op {
        self.tail = true;
        self
    }
}

/// Where a request goes.
#[derive(Debug)]
pub struct Route {
    pub op: &'static Op,
    pub tail: Vec<String>,
}

/// The operation this path and method mean. Both `/functions/v1/<name>` and `/<name>` lead here.
pub fn route(spec: &'static Spec, method: &str, path: &str) -> Result<Route, ApiError> {
    let path = path.strip_prefix("/functions/v1").unwrap_or(path);
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    if segments.next() != Some(spec.name) {
        return Err(ApiError::not_found());
    }
    let rest: Vec<&str> = segments.collect();
    let found = match rest.split_first() {
        Some((first, tail)) => {
            find(spec, method, first, tail).or_else(|| find(spec, method, "", &rest))
        }
        None => find(spec, method, "", &rest),
    };
    let (op, tail) = found.ok_or_else(ApiError::not_found)?;
    if !op.methods.contains(&method) {
        let allowed =
            spec.ops.iter().filter(|other| other.op == op.op).flat_map(|other| other.methods);
        let allowed: Vec<&str> = allowed.copied().collect();
        return Err(
            ApiError::of(ErrorCode::MethodNotAllowed).with_field("allow", allowed.join(", "))
        );
    }
    Ok(Route { op, tail: tail.iter().map(|segment| (*segment).to_owned()).collect() })
}

/// Methods may be operations of their own: the one of this method, else any of that name.
fn find<'s>(
    spec: &'static Spec,
    method: &str,
    name: &str,
    tail: &'s [&'s str],
) -> Option<(&'static Op, &'s [&'s str])> {
    let named = || spec.ops.iter().filter(|op| op.op == name);
    let op = named().find(|op| op.methods.contains(&method)).or_else(|| named().next())?;
    (op.tail || tail.is_empty()).then_some((op, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    static SPEC: Spec = Spec {
        name: "queue",
        ops: &[
            Op::new("check", &["GET", "POST"], Policy::User),
            Op::new("", &["POST"], Policy::Provider).with_tail(),
        ],
        body_bytes_max: BODY_BYTES_MAX,
        requires: &[],
    };
    static ONE: Spec = Spec {
        name: "one",
        ops: &[Op::new("", &["POST"], Policy::Admin)],
        body_bytes_max: BODY_BYTES_MAX,
        requires: &[],
    };

    #[test]
    fn paths_lead_to_operations() {
        assert_eq!(route(&SPEC, "GET", "/functions/v1/queue/check").unwrap().op.op, "check");
        assert_eq!(route(&SPEC, "POST", "/queue/check/").unwrap().op.op, "check");
        assert_eq!(route(&SPEC, "POST", "/functions/v1/queue/a/b").unwrap().tail, ["a", "b"]);
        assert_eq!(route(&ONE, "POST", "/functions/v1/one").unwrap().op.op, "");
    }

    #[test]
    fn what_is_not_there_is_not_found_and_methods_are_named() {
        assert_eq!(
            route(&ONE, "POST", "/functions/v1/one/x").unwrap_err().code,
            ErrorCode::NotFound
        );
        assert_eq!(route(&ONE, "POST", "/functions/v1/two").unwrap_err().code, ErrorCode::NotFound);
        assert_eq!(route(&ONE, "POST", "/").unwrap_err().code, ErrorCode::NotFound);
        let refused = route(&SPEC, "DELETE", "/functions/v1/queue/check").unwrap_err();
        assert_eq!(refused.code, ErrorCode::MethodNotAllowed);
        assert_eq!(refused.fields["allow"], "GET, POST");
    }
}
