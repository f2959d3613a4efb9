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
const KEPT_MS: u64 = 5_000;
/// Longer than any question takes: whoever asked has gone away, and somebody else asks.
const ASKING_MS: u64 = 22_000;
const LOOK_AGAIN_MS: u32 = 25;

pub(crate) static HEALTH: Spec = Spec {
    name: "health",
    ops: &[shared::op!(GET | HEAD "" for Public => health)],
    requires: &["SUPABASE_URL"],
};

thread_local! {
    static KEPT: RefCell<Kept<Result<Reply, ApiError>>> = const { RefCell::new(Kept::new()) };
}

/// The last answer, good or bad, for as long as it is fresh.
pub(crate) async fn health(call: Call, _: NoInput) -> Result<Reply, ApiError> {
    let transport = &call.cx.fetch;
    loop {
        let now_ms = transport.now_ms();
        match KEPT.with_borrow_mut(|kept| kept.look(now_ms)) {
            Look::Use(answer) => return answer,
            // Nobody waits on another request's call: it dies with that request.
            Look::Wait => transport.sleep(LOOK_AGAIN_MS).await,
            Look::Ask => {
                let answer = ask(&call).await;
                let now_ms = transport.now_ms();
                KEPT.with_borrow_mut(|kept| kept.put(answer.clone(), now_ms));
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

async fn ask(call: &Call) -> Result<Reply, ApiError> {
    let StoredHealth { last_sweep_seconds, stuck, violations } = call.cx().db().health_v1().await?;
    let swept = last_sweep_seconds.is_some_and(|age| age <= SWEEP_LATE_S);
    let ok = swept && stuck == Some(0) && violations == Some(0);
    Reply::with_status(
        if ok { 200 } else { 503 },
        Health { ok, last_sweep_seconds, stuck, violations },
    )
}

/// One answer and its age.
struct Kept<A> {
    answer: Option<(u64, A)>,
    asking_since: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Look<A> {
    Use(A),
    Wait,
    /// The caller asks, and puts the answer here.
    Ask,
}

impl<A: Clone> Kept<A> {
    const fn new() -> Self {
        Self { answer: None, asking_since: None }
    }

    fn look(&mut self, now_ms: u64) -> Look<A> {
        match (&self.answer, self.asking_since) {
            (Some((at, answer)), _) if now_ms.saturating_sub(*at) < KEPT_MS => {
                Look::Use(answer.clone())
            }
            (_, Some(since)) if now_ms.saturating_sub(since) < ASKING_MS => Look::Wait,
            _ => {
                self.asking_since = Some(now_ms);
                Look::Ask
            }
        }
    }

    fn put(&mut self, answer: A, now_ms: u64) {
        (self.answer, self.asking_since) = (Some((now_ms, answer)), None);
    }
}

#[cfg(test)]
mod tests {
    use super::{Kept, Look};

    #[test]
    fn of_many_who_ask_at_once_one_asks_and_all_have_its_answer() {
        let mut kept = Kept::new();
        assert_eq!(kept.look(1_000), Look::Ask);
        assert!((1_000..1_400).all(|now| kept.look(now) == Look::Wait));
        kept.put("good", 1_400);
        assert!((1_400..6_400).all(|now| kept.look(now) == Look::Use("good")));
        assert_eq!(kept.look(6_400), Look::Ask);
        assert_eq!(kept.look(6_401), Look::Wait, "what is old is not told again");
        kept.put("bad", 6_500);
        assert_eq!(kept.look(6_501), Look::Use("bad"));
    }

    #[test]
    fn whoever_goes_away_while_asking_stops_nobody() {
        let mut kept = Kept::new();
        assert_eq!(kept.look(0), Look::Ask);
        assert_eq!(kept.look(21_999), Look::Wait);
        assert_eq!(kept.look(22_000), Look::Ask);
        assert_eq!(kept.look(22_001), Look::<&str>::Wait);
    }
}
