//! Keeps a step's lease during slow work: a call that takes minutes, or a large copy.
//!
//! A worker that loses the lease drops its work, because another worker may have taken the step.

use super::Cx;
use crate::core::transport::Transport;
use crate::db::step::Attempt;
use futures_util::future::{Either, select};
use std::pin::pin;

/// The length of a new lease; three heartbeats fit into it.
const LEASE_MS: u64 = 90_000;
const HEARTBEAT_MS: u64 = 30_000;
/// The pause after a heartbeat without an answer.
const RETRY_MS: u64 = 5_000;
/// If less than this time is left, the lease counts as lost, because the last calls of the work may
/// be late.
const MARGIN_MS: u64 = 20_000;

/// Runs `work` under a lease that was taken at `since_ms`, give or take one call. `None`: the lease
/// was lost and the work was dropped.
pub async fn hold<T: Transport, R>(
    cx: &Cx<'_, T>,
    attempt: Attempt,
    since_ms: u64,
    work: impl Future<Output = R>,
) -> Option<R> {
    match select(pin!(work), pin!(beat_until_lost(cx, attempt, since_ms))).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}

async fn beat_until_lost<T: Transport>(cx: &Cx<'_, T>, attempt: Attempt, since_ms: u64) {
    let mut safe_until = since_ms + LEASE_MS - MARGIN_MS;
    let mut pause = (since_ms + HEARTBEAT_MS).saturating_sub(cx.transport.now_ms());
    loop {
        let left = safe_until.saturating_sub(cx.transport.now_ms());
        if left == 0 {
            return;
        }
        sleep(cx, pause.min(left)).await;
        let asked = cx.transport.now_ms();
        // A heartbeat that is not answered in time has renewed nothing.
        let beat = pin!(async { cx.db().step_heartbeat_v1(attempt).await });
        pause = match select(beat, pin!(sleep(cx, safe_until.saturating_sub(asked)))).await {
            Either::Left((Ok(beat), _)) if beat.applied => {
                safe_until = (asked + u64::from(beat.lease_ms)).saturating_sub(MARGIN_MS);
                HEARTBEAT_MS
            }
            Either::Left((Err(_), _)) => RETRY_MS,
            Either::Left((Ok(_), _)) | Either::Right(_) => return,
        };
    }
}

async fn sleep<T: Transport>(cx: &Cx<'_, T>, ms: u64) {
    cx.transport.sleep(u32::try_from(ms).unwrap_or(u32::MAX)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::{JobId, Run, Step};
    use crate::core::transport::{self, HttpRequest, HttpResponse, TransportError};
    use crate::testing::single_step::{JOB, SingleStepWorld};
    use crate::testing::unused_calls;
    use futures_util::FutureExt;
    use futures_util::future::poll_fn;
    use serde_json::json;
    use std::cell::{Cell, RefCell};
    use std::task::Poll;

    /// A clock that only `sleep` moves, and the answers to heartbeats: the milliseconds left of the
    /// lease, 0 for a lost lease, `None` for no answer.
    struct HeartbeatClock {
        now: Cell<u64>,
        beats: RefCell<Vec<Option<u32>>>,
    }

    impl Transport for HeartbeatClock {
        async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
            assert!(request.url.ends_with("/step_heartbeat_v1"), "{request:?}");
            let left = self.beats.borrow_mut().pop().expect("a heartbeat more than expected");
            let left = left.ok_or_else(|| TransportError::Unknown("lost".to_owned()))?;
            let body = json!([{ "applied": left > 0, "lease_ms": left }]).to_string();
            Ok(HttpResponse { status: 200, headers: Vec::new(), body })
        }

        unused_calls!(copy upload download random notify log);

        async fn sleep(&self, ms: u32) {
            self.now.set(self.now.get() + u64::from(ms));
            let mut slept = false;
            poll_fn(|_| {
                if std::mem::replace(&mut slept, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }

        fn now_ms(&self) -> u64 {
            self.now.get()
        }
    }

    /// Holds a new lease for work of that many seconds. Returns whether the work ended, and the
    /// second at which `hold` returned.
    fn hold_for(work_s: u64, beats: Vec<Option<u32>>) -> (bool, u64) {
        hold_from(0, work_s, beats)
    }

    /// Does the same with a lease that is already `age_s` old.
    fn hold_from(age_s: u64, work_s: u64, mut beats: Vec<Option<u32>>) -> (bool, u64) {
        beats.reverse();
        let clock = HeartbeatClock { now: Cell::new(age_s * 1000), beats: RefCell::new(beats) };
        let config = SingleStepWorld::config();
        let cx = Cx { transport: &clock, config: &config, request_id: "hold", caller: None };
        let attempt = Attempt { job: JobId::parse(JOB).unwrap(), step: Step(1), run: Run(1) };
        let work =
            poll_fn(
                |_| if clock.now.get() >= work_s * 1000 { Poll::Ready(()) } else { Poll::Pending },
            );
        let mut holding = pin!(hold(&cx, attempt, 0, work));
        for _ in 0..1000 {
            if let Some(held) = holding.as_mut().now_or_never() {
                assert!(clock.beats.borrow().is_empty(), "fewer heartbeats than expected");
                return (held.is_some(), clock.now.get() / 1000);
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn quick_work_costs_no_heartbeat_and_slow_work_keeps_its_lease() {
        assert_eq!(hold_for(0, vec![]), (true, 0));
        assert_eq!(hold_for(100, vec![Some(90_000); 3]), (true, 120));
    }

    #[test]
    fn an_older_lease_is_renewed_before_it_counts_as_lost() {
        assert_eq!(hold_from(45, 100, vec![Some(90_000); 2]), (true, 105));
        assert_eq!(hold_from(70, 100, vec![]), (false, 70));
    }

    #[test]
    fn a_heartbeat_without_an_answer_is_retried_until_the_lease_counts_as_lost() {
        assert_eq!(hold_for(100, vec![None, None, Some(90_000), Some(90_000)]), (true, 100));
        // Heartbeats come at 30 s, then every 5 s. The lease counts as lost 20 s before its end.
        assert_eq!(hold_for(300, vec![None; 9]), (false, 70));
    }

    #[test]
    fn a_lost_lease_ends_the_work_at_once_and_a_deadline_before_it_comes() {
        assert_eq!(hold_for(300, vec![Some(90_000), Some(0)]), (false, 60));
        assert_eq!(hold_for(300, vec![Some(90_000), Some(35_000), Some(20_000)]), (false, 75));
    }
}
