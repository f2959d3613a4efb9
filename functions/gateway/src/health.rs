//! `health`: what the last finished sweep stored. Anybody may ask, as often as they like: an answer is kept for some
//! seconds, and of all who ask meanwhile one asks the database.

use std::cell::RefCell;

use serde::Serialize;
use shared::core::body::NoInput;
use shared::core::error::ApiError;
use shared::core::reply::Reply;
use shared::core::transport::Transport;
use shared::db::sweep::StoredHealth;
use shared::edge::{Call, Spec};
use shared::flow::invocation::Invocation;

/// Two periods of the sweep: later than this, it does not run.
const SWEEP_LATE_S: i32 = 120;
const CACHED_MS: u64 = 5_000;
/// Longer than any question takes: whoever asked has gone away, and somebody else asks.
const QUERY_MS_MAX: u64 = 22_000;
const POLL_MS: u32 = 25;

pub(crate) static HEALTH: Spec = Spec {
    name: "health",
    ops: &[shared::op!(GET | HEAD "" for Public => health)],
    requires: &["SUPABASE_URL"],
};

thread_local! {
    static CACHED: RefCell<CachedAnswer<Result<Reply, ApiError>>> = const { RefCell::new(CachedAnswer::new()) };
}

/// The last answer, good or bad, for as long as it is fresh.
pub(crate) async fn health(call: Call, _: NoInput) -> Result<Reply, ApiError> {
    let transport = &call.cx.fetch;
    loop {
        let now_ms = transport.now_ms();
        match CACHED.with_borrow_mut(|cached| cached.look_up(now_ms)) {
            CacheLookup::Use(answer) => return answer,
            // Nobody waits on another request's call: it dies with that request.
            CacheLookup::Wait => transport.sleep(POLL_MS).await,
            CacheLookup::Query => {
                let answer = query(&call).await;
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
}

async fn query(call: &Call) -> Result<Reply, ApiError> {
    let StoredHealth { last_sweep_seconds, stuck, violations } = call.cx().db().health_v1().await?;
    let swept = last_sweep_seconds.is_some_and(|age| age <= SWEEP_LATE_S);
    let ok = swept && stuck == Some(0) && violations == Some(0);
    Reply::with_status(
        if ok { 200 } else { 503 },
        Health { ok, last_sweep_seconds, stuck, violations },
    )
}

/// One answer and its age.
struct CachedAnswer<A> {
    answer: Option<(u64, A)>,
    queried_since: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
enum CacheLookup<A> {
    Use(A),
    Wait,
    /// The caller asks, and puts the answer here.
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
    fn of_many_who_ask_at_once_one_asks_and_all_have_its_answer() {
        let mut cached = CachedAnswer::new();
        assert_eq!(cached.look_up(1_000), CacheLookup::Query);
        assert!((1_000..1_400).all(|now| cached.look_up(now) == CacheLookup::Wait));
        cached.store("good", 1_400);
        assert!((1_400..6_400).all(|now| cached.look_up(now) == CacheLookup::Use("good")));
        assert_eq!(cached.look_up(6_400), CacheLookup::Query);
        assert_eq!(cached.look_up(6_401), CacheLookup::Wait, "what is old is not told again");
        cached.store("bad", 6_500);
        assert_eq!(cached.look_up(6_501), CacheLookup::Use("bad"));
    }

    #[test]
    fn whoever_goes_away_while_asking_stops_nobody() {
        let mut cached = CachedAnswer::new();
        assert_eq!(cached.look_up(0), CacheLookup::Query);
        assert_eq!(cached.look_up(21_999), CacheLookup::Wait);
        assert_eq!(cached.look_up(22_000), CacheLookup::Query);
        assert_eq!(cached.look_up(22_001), CacheLookup::<&str>::Wait);
    }
}
