//! `health`: shows the result of the last finished sweep to everyone. An answer is cached for five
//! seconds, and only one of several concurrent requests queries the database.

use std::cell::RefCell;

use serde::Serialize;
use serde_json::Value;
use shared::core::body::NoInput;
use shared::core::config::required;
use shared::core::error::ApiError;
use shared::core::reply::Reply;
use shared::core::transport::Transport;
use shared::db::sweep::StoredHealth;
use shared::edge::{Call, Spec};
use shared::flow::invocation::Invocation;
use shared::flow::{alert, compare};

use crate::watch;

/// Two periods of the sweep: after this time it counts as stopped.
const SWEEP_LATE_S: i32 = 120;
/// How long an answer is cached.
const CACHED_MS: u64 = 5_000;
/// After this time a query counts as lost, because its request has ended. Another request then
/// queries.
const QUERY_MS_MAX: u64 = 22_000;
/// How often a request polls for the answer of another request's query.
const POLL_MS: u32 = 25;

pub(crate) static HEALTH: Spec = Spec {
    name: "health",
    ops: &[shared::op!(GET | HEAD "" for Public => health)],
    quote: None,
    order: None,
    requires: required(include_str!("../function.toml")),
    after_schedule: None,
};

thread_local! {
    static CACHED: RefCell<CachedAnswer<Result<Reply, ApiError>>> =
        const { RefCell::new(CachedAnswer::new()) };
}

/// Answers the cached result, good or bad, or a fresh one.
pub(crate) async fn health(call: &Call, _: NoInput) -> Result<Reply, ApiError> {
    let transport = &call.cx.fetch;
    loop {
        let now_ms = transport.now_ms();
        match CACHED.with_borrow_mut(|cached| cached.look_up(now_ms)) {
            CacheLookup::Use(answer) => return answer,
            // A request must not await a promise of another request, because it ends with that
            // request.
            CacheLookup::Wait => transport.sleep(POLL_MS).await,
            CacheLookup::Query => {
                let answer = query(call).await;
                let now_ms = transport.now_ms();
                CACHED.with_borrow_mut(|cached| cached.store(answer.clone(), now_ms));
                return answer;
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    ok: bool,
    last_sweep_seconds: Option<i32>,
    stuck: Option<i32>,
    violations: Option<i32>,
    /// The seconds since each healer's last sign of life; null if there was none.
    healers: Healers,
    /// Everything that is bad now, in words, also stuck jobs and violations. Nothing else in it
    /// makes `ok` false by itself.
    degraded: Value,
    wrong_deployment: bool,
}

#[derive(Serialize)]
struct Healers {
    edge: Option<i32>,
    sql: Option<i32>,
    queues: Option<i32>,
}

/// Queries the database and sends the owed alerts. So a monitor that queries `health` has them
/// sent, even if every cron has stopped.
async fn query(call: &Call) -> Result<Reply, ApiError> {
    let stored = call.cx().db().health_v2().await?;
    let functions = watch::due(call);
    call.background(async move |cx| {
        // The alerts go first: if many functions do not answer, the comparison may not finish in
        // time.
        alert::send_owed(&cx).await;
        if !functions.is_empty() {
            compare::settings(&cx, &functions).await;
        }
    });
    let StoredHealth { last_sweep_seconds, stuck, violations, degraded, .. } = stored;
    let wrong_deployment = stored.wrong_deployment;
    let swept = last_sweep_seconds.is_some_and(|age| age <= SWEEP_LATE_S);
    let ok = swept && stuck == Some(0) && violations == Some(0) && !wrong_deployment;
    let healers = Healers {
        edge: stored.edge_seconds,
        sql: stored.sql_seconds,
        queues: stored.queues_seconds,
    };
    Reply::with_status(
        if ok { 200 } else { 503 },
        Health { ok, last_sweep_seconds, stuck, violations, healers, degraded, wrong_deployment },
    )
}

/// The cached answer with its time, and the start of the present query.
struct CachedAnswer<A> {
    answer: Option<(u64, A)>,
    queried_since: Option<u64>,
}

/// What the caller does next.
#[derive(Debug, PartialEq, Eq)]
enum CacheLookup<A> {
    Use(A),
    Wait,
    /// The caller queries the database and stores the answer.
    Query,
}

impl<A: Clone> CachedAnswer<A> {
    const fn new() -> Self {
        Self { answer: None, queried_since: None }
    }

    fn look_up(&mut self, now_ms: u64) -> CacheLookup<A> {
        match (&self.answer, self.queried_since) {
            (Some((at, answer)), _) if now_ms.saturating_sub(*at) < CACHED_MS => {
                CacheLookup::Use(answer.clone())
            }
            (_, Some(since)) if now_ms.saturating_sub(since) < QUERY_MS_MAX => CacheLookup::Wait,
            _ => {
                self.queried_since = Some(now_ms);
                CacheLookup::Query
            }
        }
    }

    fn store(&mut self, answer: A, now_ms: u64) {
        (self.answer, self.queried_since) = (Some((now_ms, answer)), None);
    }
}

#[cfg(test)]
mod tests {
    use super::{CacheLookup, CachedAnswer};

    #[test]
    fn one_of_many_concurrent_requests_queries_and_all_get_its_answer() {
        let mut cached = CachedAnswer::new();
        assert_eq!(cached.look_up(1_000), CacheLookup::Query);
        assert!((1_000..1_400).all(|now| cached.look_up(now) == CacheLookup::Wait));
        cached.store("good", 1_400);
        assert!((1_400..6_400).all(|now| cached.look_up(now) == CacheLookup::Use("good")));
        assert_eq!(cached.look_up(6_400), CacheLookup::Query);
        assert_eq!(cached.look_up(6_401), CacheLookup::Wait, "a stale answer is not used");
        cached.store("bad", 6_500);
        assert_eq!(cached.look_up(6_501), CacheLookup::Use("bad"));
    }

    #[test]
    fn a_query_that_died_with_its_request_is_replaced() {
        let mut cached = CachedAnswer::new();
        assert_eq!(cached.look_up(0), CacheLookup::Query);
        assert_eq!(cached.look_up(21_999), CacheLookup::Wait);
        assert_eq!(cached.look_up(22_000), CacheLookup::Query);
        assert_eq!(cached.look_up(22_001), CacheLookup::<&str>::Wait);
    }
}
