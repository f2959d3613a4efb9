//! The declaration of a function, and the choice of its operation for a request.

use futures_util::future::LocalBoxFuture;

use crate::core::config::RequiredGroups;
use crate::core::error::{ApiError, ErrorCode};
use crate::edge::call::OwnedCx;
use crate::edge::op::Op;
use crate::edge::report;
use crate::flow::alert;

/// The declaration of a function.
#[derive(Debug)]
pub struct Spec {
    pub name: &'static str,
    pub ops: &'static [Op],
    /// What prices an order of the function's tool. The gateway passes [`QUOTE`] on to it.
    pub quote: Option<Op>,
    /// The settings that every call needs. `serve` answers 500 without them.
    pub requires: RequiredGroups,
    /// What follows a call of a scheduled operation, as it follows the cron event.
    pub after_schedule: Option<AfterSchedule>,
}

/// Work after the answer of a scheduled operation.
pub type AfterSchedule = fn(OwnedCx) -> LocalBoxFuture<'static, ()>;

/// Sends the alerts that are owed. Only functions with a cron name it, so that no other one carries
/// its code.
pub fn send_owed(cx: OwnedCx) -> LocalBoxFuture<'static, ()> {
    Box::pin(async move { alert::send_owed(&cx.cx()).await })
}

/// The path under which every tool's function answers quotes, whatever its own name.
pub const QUOTE: &str = "quote";

/// The operation that a request calls.
#[derive(Debug)]
pub struct Route {
    pub op: &'static Op,
    /// The path segments after the operation.
    pub path: Vec<String>,
}

/// Finds the operation of `path` and `method`. The path is `/functions/v1/<name>/…` or `/<name>/…`.
/// Answers 404 for an unknown path, and 405 with the `allow` field for a wrong method.
pub fn route(spec: &'static Spec, method: &str, path: &str) -> Result<Route, ApiError> {
    let path = path.strip_prefix("/functions/v1").unwrap_or(path);
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let name = segments.next();
    let rest: Vec<&str> = segments.collect();
    let found = match rest.split_first() {
        None if name == Some(QUOTE) => spec.quote.as_ref().map(|op| (op, &rest[..])),
        _ if name != Some(spec.name) => None,
        Some((first, after)) => {
            let ops = if report::is_of_all(first) { report::OPS } else { spec.ops };
            find(ops, method, first, after).or_else(|| find(spec.ops, method, "", &rest))
        }
        None => find(spec.ops, method, "", &rest),
    };
    let (op, path) = found.ok_or_else(ApiError::not_found)?;
    if !op.methods.contains(&method) {
        let all = spec.ops.iter().chain(&spec.quote).chain(report::OPS);
        let allowed = all.filter(|other| other.path == op.path).flat_map(|other| other.methods);
        let allowed: Vec<&str> = allowed.copied().collect();
        return Err(
            ApiError::of(ErrorCode::MethodNotAllowed).with_field("allow", allowed.join(", "))
        );
    }
    Ok(Route { op, path: path.iter().map(|segment| (*segment).to_owned()).collect() })
}

/// Finds the operation of that name. Two operations may share a name; the one with this method
/// wins.
fn find<'s>(
    ops: &'static [Op],
    method: &str,
    name: &str,
    after: &'s [&'s str],
) -> Option<(&'static Op, &'s [&'s str])> {
    let named = || ops.iter().filter(|op| op.path == name);
    let op = named().find(|op| op.methods.contains(&method)).or_else(|| named().next())?;
    (op.takes_path() || after.is_empty()).then_some((op, after))
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
/// it requires are those of the `function.toml` beside its `Cargo.toml`.
///
/// `cron` takes an `async fn(OwnedCx) -> Result<(), ApiError>`. `queue` takes an `async fn(Value,
/// OwnedCx) -> Result<(), ApiError>` and calls it once for each message. `quote` is the handler
/// that prices an order of the function's tool.
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
        $(cron: $cron:expr,)?
        $(queue: $queue:expr,)?
    ) => {
        static SPEC: $crate::edge::Spec = $crate::edge::Spec {
            name: $name,
            ops: &[$(
                $crate::op!($($method)|+ $path for $policy $(as $quota)? => $handler)
            ),*],
            quote: $crate::function!(@quote $($quote)?),
            requires: $crate::core::config::required(include_str!("../function.toml")),
            after_schedule: $crate::function!(@after $($cron)?),
        };

        #[worker::event(fetch)]
        async fn fetch(
            request: worker::Request,
            env: worker::Env,
            context: worker::Context,
        ) -> worker::Result<worker::Response> {
            $crate::edge::serve(&SPEC, request, env, context).await
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
        requires: required("\nsettings = []"),
        after_schedule: None,
    };
    static ONE: Spec = Spec {
        name: "one",
        ops: &[op!(POST "" for Admin => ok)],
        quote: None,
        requires: required("\nsettings = []"),
        after_schedule: None,
    };

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
