//! The declaration of a function, and the choice of its operation for a request.

use futures_util::future::{LocalBoxFuture, join};

use crate::core::config::RequiredGroups;
use crate::core::error::{ApiError, ErrorCode};
use crate::edge::call::OwnedCx;
use crate::edge::op::Op;
use crate::edge::report;
use crate::flow::{alert, outgoing};

/// The declaration of a function.
#[derive(Debug)]
pub struct Spec {
    pub name: &'static str,
    pub ops: &'static [Op],
    /// The operation that prices an order of the function's tool. The gateway passes [`QUOTE`] on
    /// to it.
    pub quote: Option<Op>,
    /// The operation that accepts an order of the function's tool through `jobs`. The gateway
    /// passes a POST to [`JOBS`] on to it.
    pub order: Option<Op>,
    /// The settings that every call needs. `serve` answers 500 without them.
    pub requires: RequiredGroups,
    /// The work after a call of a scheduled operation, as after a cron event.
    pub after_schedule: Option<AfterSchedule>,
}

/// Work after the answer of a scheduled operation.
pub type AfterSchedule = fn(OwnedCx) -> LocalBoxFuture<'static, ()>;

/// Sends the owed messages to the operator and to the app's back end. Only functions with a cron
/// name it, so that no other function contains its code.
pub fn send_owed(cx: OwnedCx) -> LocalBoxFuture<'static, ()> {
    Box::pin(async move {
        let cx = cx.cx();
        join(alert::send_owed(&cx), outgoing::send_owed(&cx)).await;
    })
}

/// The path at which the function of every tool answers quotes.
pub const QUOTE: &str = "quote";

/// The path at which the function of every tool accepts orders in the vocabulary of all tools.
pub const JOBS: &str = "jobs";

/// The operation that a request calls.
#[derive(Debug)]
pub struct Route {
    pub op: &'static Op,
    /// The path segments in place of `{…}` in the operation's path, and those after it.
    pub path: Vec<String>,
}

/// Finds the operation of `path` and `method`. The path is `/functions/v1/<name>/…` or `/<name>/…`.
/// Answers 404 for an unknown path, and 405 with the `allow` field for a wrong method.
pub fn route(spec: &'static Spec, method: &str, path: &str) -> Result<Route, ApiError> {
    let path = path.strip_prefix("/functions/v1").unwrap_or(path);
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let name = segments.next();
    let rest: Vec<&str> = segments.collect();
    let by_tool = match name {
        Some(QUOTE) => spec.quote.as_ref(),
        Some(JOBS) => spec.order.as_ref(),
        _ => None,
    };
    let found = match (by_tool.filter(|_| rest.is_empty()), rest.first()) {
        (Some(op), _) => Some((op, Vec::new())),
        _ if name != Some(spec.name) => None,
        (None, Some(first)) if report::is_of_all(first) => find(report::OPS, method, &rest),
        _ => find(spec.ops, method, &rest),
    };
    let (op, path) = found.ok_or_else(ApiError::not_found)?;
    if !op.methods.contains(&method) {
        let all = spec.ops.iter().chain(by_tool).chain(report::OPS);
        let allowed = all.filter(|other| other.path == op.path).flat_map(|other| other.methods);
        let allowed: Vec<&str> = allowed.copied().collect();
        return Err(
            ApiError::of(ErrorCode::MethodNotAllowed).with_field("allow", allowed.join(", "))
        );
    }
    Ok(Route { op, path: path.iter().map(|segment| (*segment).to_owned()).collect() })
}

/// Finds the operation that the segments name. If there are several, the first one with this method
/// is chosen.
fn find<'s>(
    ops: &'static [Op],
    method: &str,
    segments: &[&'s str],
) -> Option<(&'static Op, Vec<&'s str>)> {
    let named = || ops.iter().filter_map(|op| Some((op, matched(op, segments)?)));
    named().find(|(op, _)| op.methods.contains(&method)).or_else(|| named().next())
}

/// Returns the segments that the operation's path leaves open, or `None` if the path is another's.
fn matched<'s>(op: &Op, segments: &[&'s str]) -> Option<Vec<&'s str>> {
    let mut open = Vec::new();
    let mut segments = segments.iter();
    for part in op.path.split('/').filter(|part| !part.is_empty()) {
        match segments.next() {
            Some(segment) if part.starts_with('{') => open.push(*segment),
            Some(segment) if *segment == part => {}
            _ => return None,
        }
    }
    open.extend(segments);
    // Some operations also accept segments after their path.
    let named = op.path.matches('{').count();
    (op.takes_path() || open.len() == named).then_some(open)
}

/// Declares one operation: its methods, its path, the callers whom it admits, the limit it counts
/// against (`Other` by default) and its handler, an
/// `async fn(&Call, Body) -> Result<impl IntoReply, ApiError>`.
///
/// `op!(POST "run" for User as Order => run)`
#[macro_export]
macro_rules! op {
    (
        $($method:ident)|+ $path:literal for $policy:ident $(as $quota:ident)? => $handler:expr
    ) => {
        $crate::edge::Op {
            path: $path,
            methods: &[$(stringify!($method)),+],
            policy: $crate::core::auth::Policy::$policy,
            quota: $crate::op!(@quota $($quota)?),
            handler: |call| ::std::boxed::Box::pin($crate::edge::handle(call, $handler)),
        }
    };
    (@quota) => {
        $crate::core::auth::Quota::Other
    };
    (@quota $quota:ident) => {
        $crate::core::auth::Quota::$quota
    };
}

/// Declares a function: its operations and its handlers of the platform's events. The settings that
/// it requires are those in the `function.toml` beside its `Cargo.toml`.
///
/// `cron` takes an `async fn(OwnedCx) -> Result<(), ApiError>`. `queue` takes an `async fn(Value,
/// OwnedCx) -> Result<(), ApiError>` and calls it once for each message. `quote` is the handler
/// that prices an order of the function's tool, `order` the handler that accepts it, also for
/// `jobs`.
#[macro_export]
macro_rules! function {
    (
        name: $name:literal,
        ops: {
            $(
                $($method:ident)|+ $path:literal for $policy:ident $(as $quota:ident)?
                    => $handler:expr
            ),* $(,)?
        },
        $(quote: $quote:expr,)?
        $(order: $order:expr,)?
        $(cron: $cron:expr,)?
        $(queue: $queue:expr,)?
    ) => {
        static SPEC: $crate::edge::Spec = $crate::edge::Spec {
            name: $name,
            ops: &[$(
                $crate::op!($($method)|+ $path for $policy $(as $quota)? => $handler)
            ),*],
            quote: $crate::function!(@quote $($quote)?),
            order: $crate::function!(@order $($order)?),
            requires: $crate::core::config::required(include_str!("../function.toml")),
            after_schedule: $crate::function!(@after $($cron)?),
        };

        #[worker::event(fetch)]
        async fn fetch(
            request: worker::web_sys::Request,
            env: worker::Env,
            context: worker::Context,
        ) -> ::std::result::Result<worker::web_sys::Response, ::std::convert::Infallible> {
            let request = $crate::edge::Incoming::of(request);
            Ok($crate::edge::serve(&SPEC, request, env, context).await)
        }

        $(
            #[worker::event(scheduled)]
            async fn scheduled(
                _event: worker::ScheduledEvent,
                env: worker::Env,
                _context: worker::ScheduleContext,
            ) {
                $crate::edge::serve_scheduled(&SPEC, env, $cron).await;
            }
        )?

        $(
            #[worker::event(queue)]
            async fn queue(
                batch: $crate::edge::Batch,
                env: worker::Env,
                _context: worker::Context,
            ) -> worker::Result<()> {
                $crate::edge::serve_queue(&SPEC, batch, env, $queue).await;
                Ok(())
            }
        )?
    };
    (@after) => {
        None
    };
    (@after $cron:expr) => {
        Some($crate::edge::send_owed)
    };
    (@quote) => {
        None
    };
    (@quote $quote:expr) => {
        Some($crate::op!(POST "quote" for UserOrNobody as Read => $quote))
    };
    (@order) => {
        None
    };
    (@order $order:expr) => {
        Some($crate::op!(POST "jobs" for UserOrBehalf as Order =>
            async |call, body| $crate::flow::order::of_any_tool::order(call, body, $order).await))
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::auth::{Policy, Quota};
    use crate::core::body::NoInput;
    use crate::core::config::required;
    use crate::edge::call::Call;

    async fn ok(_: &Call, _: NoInput) -> Result<(), ApiError> {
        Ok(())
    }

    static QUEUE: Spec = Spec {
        name: "queue",
        ops: &[op!(GET | POST "check" for User as Read => ok), op!(POST "" for Provider => ok)],
        quote: Some(op!(POST "quote" for UserOrNobody as Read => ok)),
        order: Some(op!(POST "jobs" for UserOrBehalf as Order => ok)),
        requires: required("\nsettings = []"),
        after_schedule: None,
    };
    static ONE: Spec = Spec {
        name: "one",
        ops: &[op!(POST "" for Admin => ok)],
        quote: None,
        order: None,
        requires: required("\nsettings = []"),
        after_schedule: None,
    };

    static MANY: Spec = Spec {
        name: "jobs",
        ops: &[
            op!(GET "" for UserOrBehalf as Read => ok),
            op!(GET "{id}" for UserOrBehalf as Read => ok),
            op!(POST "{id}/cancel" for UserOrBehalf => ok),
        ],
        quote: None,
        order: None,
        requires: required("\nsettings = []"),
        after_schedule: None,
    };

    #[test]
    fn a_segment_of_a_path_may_be_left_open() {
        let found = |method, path| route(&MANY, method, path).map_err(|error| error.code);
        assert_eq!(found("GET", "/jobs").unwrap().op.path, "");
        let one = found("GET", "/functions/v1/jobs/7").unwrap();
        assert_eq!((one.op.path, one.path), ("{id}", vec!["7".to_owned()]));
        let cancel = found("POST", "/jobs/7/cancel").unwrap();
        assert_eq!((cancel.op.path, cancel.path), ("{id}/cancel", vec!["7".to_owned()]));
        for (method, path) in [("POST", "/jobs/7"), ("GET", "/jobs/7/cancel"), ("PUT", "/jobs")] {
            assert_eq!(found(method, path).unwrap_err(), ErrorCode::MethodNotAllowed, "{path}");
        }
        for path in ["/jobs/7/other", "/jobs/7/cancel/8", "/others"] {
            assert_eq!(found("POST", path).unwrap_err(), ErrorCode::NotFound, "{path}");
        }
    }

    #[test]
    fn a_path_leads_to_its_operation() {
        let check = route(&QUEUE, "GET", "/functions/v1/queue/check").unwrap().op;
        assert_eq!(check.path, "check");
        assert_eq!((check.policy, check.quota), (Policy::User, Quota::Read));
        assert_eq!(route(&QUEUE, "POST", "/queue/check/").unwrap().op.path, "check");
        assert_eq!(route(&QUEUE, "POST", "/functions/v1/queue/a/b").unwrap().path, ["a", "b"]);
        assert_eq!(route(&ONE, "POST", "/functions/v1/one").unwrap().op.path, "");
        assert_eq!(ONE.ops[0].quota, Quota::Other);
        let report = route(&ONE, "GET", "/functions/v1/one/__settings").unwrap();
        assert_eq!((report.op.policy, report.path.len()), (Policy::Service, 0));
        let quote = route(&QUEUE, "POST", "/functions/v1/quote").unwrap().op;
        assert_eq!((quote.path, quote.policy), ("quote", Policy::UserOrNobody));
        let order = route(&QUEUE, "POST", "/functions/v1/jobs").unwrap().op;
        assert_eq!((order.path, order.quota), ("jobs", Quota::Order));
    }

    #[test]
    fn an_unknown_path_is_404_and_a_wrong_method_is_405() {
        for path in ["/functions/v1/one/x", "/functions/v1/two", "/", "/functions/v1/quote"] {
            assert_eq!(route(&ONE, "POST", path).unwrap_err().code, ErrorCode::NotFound);
        }
        let refused = route(&QUEUE, "DELETE", "/functions/v1/queue/check").unwrap_err();
        assert_eq!(refused.code, ErrorCode::MethodNotAllowed);
        assert_eq!(refused.fields["allow"], "GET, POST");
        assert_eq!(route(&QUEUE, "GET", "/quote").unwrap_err().fields["allow"], "POST");
    }
}
