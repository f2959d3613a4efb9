//! The checker: asks about every task that is open at a provider, whatever webhooks may have said,
//! and lets the next steps start. The safety net under webhooks, and enough without them.

use crate::core::error::ApiError;
use crate::core::id::{JobId, Step};
use crate::core::provider::Remote;
use crate::core::transport::Transport;
use crate::db::sweep::{Due, DueStep};
use crate::flow::Cx;
use crate::flow::settle::batch;
use crate::flow::settle::task::Settled;
use crate::flow::submit::round::dispatch;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;

/// Asked about side by side; the platform allows six open connections.
const SIDE_BY_SIDE: usize = 5;
const PAGE: u32 = 50;
/// No question begins after this, so that a run is over in time whatever the provider does.
const ASK_MS: u64 = 15_000;
/// Subrequests: of a question that settles nothing, of any other in the worst case, of the rest.
const CALLS_TO_WAIT: u32 = 2;
const CALLS_TO_SETTLE: u32 = 8;
const CALLS_BESIDE: u32 = 40;
const SUBREQUESTS: u32 = 900;

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Asked about.
    pub checked: u32,
    /// Chains that go on with their next step.
    pub advanced: u32,
    pub completed: u32,
    pub failed: u32,
    /// Without a usable answer; asked again by the next run.
    pub skipped: u32,
    /// Open when the run began, and left to the next one.
    pub remaining: u32,
}

/// One run. `passes` share the budget of subrequests.
pub async fn pass<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    passes: u32,
) -> Result<Report, ApiError> {
    let remote = Remote::of(provider, cx.config)?;
    let mut run = Run {
        calls: cx.config.subrequest_budget.unwrap_or(SUBREQUESTS) / passes.max(1),
        ..Run::default()
    };
    let began = cx.transport.now_ms();
    let late = || cx.transport.now_ms().saturating_sub(began) > ASK_MS;
    while let Some(limit) = run.page().filter(|_| !late()) {
        let due = cx.db().steps_due_v1(provider, limit, true).await?;
        let is_last = u32::try_from(due.len()).unwrap_or(u32::MAX) < limit;
        let due = run.unseen(due);
        if due.is_empty() {
            break;
        }
        let start = async || dispatch(cx, provider, |_| {}).await.map(drop);
        for (step, settled) in
            batch::settle_all(cx, &remote, &due, SIDE_BY_SIDE, late, &start).await
        {
            run.count(step, settled);
        }
        if is_last {
            break;
        }
    }
    dispatch(cx, provider, |_| {}).await?;
    Ok(run.report())
}

/// `count` runs, `every_ms` from start to start.
pub async fn passes<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    count: u32,
    every_ms: u32,
) -> Result<(), ApiError> {
    let check = async || {
        let report = pass(cx, provider, count).await?;
        cx.log("check", json!({"provider": provider, "report": report}));
        Ok(())
    };
    crate::flow::every(cx, count, every_ms, check).await
}

/// A run under way.
#[derive(Default)]
struct Run {
    report: Report,
    /// Subrequests that are left.
    calls: u32,
    /// Steps that came up in this run; those asked longest ago come first, so that only known ones
    /// come up when all were asked.
    seen: BTreeSet<(JobId, Step)>,
    /// Running tasks when the run began, and how many of those were asked about.
    open: Option<u32>,
    asked: u32,
}

impl Run {
    /// How many steps the next page may have.
    fn page(&self) -> Option<u32> {
        let steps = self.calls.saturating_sub(CALLS_BESIDE) / CALLS_TO_SETTLE;
        Some(steps.min(PAGE)).filter(|steps| *steps > 0)
    }

    fn unseen(&mut self, mut due: Vec<DueStep>) -> Vec<DueStep> {
        self.calls = self.calls.saturating_sub(1);
        let open = due.first().map_or(0, |step| u32::try_from(step.open).unwrap_or(0));
        self.open.get_or_insert(open);
        due.retain(|step| self.seen.insert((step.attempt.job, step.attempt.step)));
        due
    }

    fn count(&mut self, step: &DueStep, settled: Option<Settled>) {
        let Some(settled) = settled else { return };
        let calls = if settled.is_open() { CALLS_TO_WAIT } else { CALLS_TO_SETTLE };
        self.calls = self.calls.saturating_sub(calls);
        if step.due == Due::Cancel {
            return;
        }
        self.report.checked += 1;
        self.asked += u32::from(step.due == Due::Query);
        match settled {
            Settled::Delivered { last: false } => self.report.advanced += 1,
            Settled::Delivered { last: true } => self.report.completed += 1,
            Settled::Failed { .. } => self.report.failed += 1,
            Settled::Silent => self.report.skipped += 1,
            Settled::Waiting | Settled::Requeued | Settled::Left => {}
        }
    }

    fn report(self) -> Report {
        Report { remaining: self.open.unwrap_or(0).saturating_sub(self.asked), ..self.report }
    }
}
