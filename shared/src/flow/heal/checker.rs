//! The checker queries every running task of a provider, whatever webhooks reported, and submits
//! the next steps. It is the safety net under webhooks, and suffices without them.

use crate::core::error::ApiError;
use crate::core::id::{JobId, Run, Step};
use crate::core::provider;
use crate::core::transport::Transport;
use crate::db::sweep::{Due, DueStep};
use crate::flow::Cx;
use crate::flow::settle::batch;
use crate::flow::settle::task::Settled;
use crate::flow::submit::round::{starter, submit_waiting};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;

/// The number of tasks queried in parallel. The platform allows six open connections.
const PARALLEL: usize = 5;
const PAGE: u32 = 50;
/// No query begins after this time, so that a pass ends in time whatever the provider does.
const QUERY_FOR_MS: u64 = 15_000;
/// The subrequests of a query that settles nothing, those of any other query in the worst case, and
/// those of the rest of a pass.
const CALLS_TO_WAIT: u32 = 2;
const CALLS_TO_SETTLE: u32 = 8;
const CALLS_OVERHEAD: u32 = 40;
const SUBREQUESTS: u32 = 900;

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The tasks that were queried.
    pub checked: u32,
    /// The try-ons whose next step may start.
    pub advanced: u32,
    pub completed: u32,
    pub failed: u32,
    /// The tasks without a usable answer; the next pass queries them.
    pub skipped: u32,
    /// The tasks that ran when the pass began and are left to the next pass.
    pub remaining: u32,
}

/// Runs one pass. `passes` passes share the budget of subrequests.
pub async fn pass<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    passes: u32,
) -> Result<CheckReport, ApiError> {
    let account = provider::asynchronous(provider, cx.config)?;
    let mut pass = CheckPass {
        calls: cx.config.subrequest_budget.unwrap_or(SUBREQUESTS) / passes.max(1),
        ..CheckPass::default()
    };
    let (healer, start) = (cx.of_healer(), starter(cx, provider));
    let began = cx.transport.now_ms();
    let is_late = || cx.transport.now_ms().saturating_sub(began) > QUERY_FOR_MS;
    while let Some(limit) = pass.page().filter(|_| !is_late()) {
        let due = cx.db().steps_due_v1(provider, limit, true).await?;
        let is_last = u32::try_from(due.len()).unwrap_or(u32::MAX) < limit;
        let due = pass.unseen(due);
        if due.is_empty() {
            break;
        }
        let settled = batch::settle_all(&healer, &*account, &due, PARALLEL, is_late, &start).await;
        for (step, settled) in settled {
            pass.count(step, settled);
        }
        if is_last {
            break;
        }
    }
    submit_waiting(cx, provider).await?;
    Ok(pass.report())
}

/// Runs `count` passes, which begin `every_ms` apart.
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
    crate::flow::at_intervals(cx, count, every_ms, check).await
}

/// The state of a pass.
#[derive(Default)]
struct CheckPass {
    report: CheckReport,
    /// The subrequests that are left.
    calls: u32,
    /// The steps that this pass has listed, with the run in question. The database lists overdue
    /// steps first, then those that were not queried for longest. A page with only known steps ends
    /// the pass: usually all were queried, unless a full page of overdue steps became due once
    /// more.
    seen: BTreeSet<(JobId, Step, Run)>,
    /// The number of tasks that ran when the pass began, and the number of them that it queried.
    open: Option<u32>,
    queried: u32,
}

impl CheckPass {
    /// The size of the next page. `None`: the budget is used up.
    fn page(&self) -> Option<u32> {
        let steps = self.calls.saturating_sub(CALLS_OVERHEAD) / CALLS_TO_SETTLE;
        Some(steps.min(PAGE)).filter(|steps| *steps > 0)
    }

    fn unseen(&mut self, mut due: Vec<DueStep>) -> Vec<DueStep> {
        self.calls = self.calls.saturating_sub(1);
        let open = due.first().map_or(0, |step| u32::try_from(step.open).unwrap_or(0));
        self.open.get_or_insert(open);
        due.retain(|step| {
            self.seen.insert((step.attempt.job, step.attempt.step, step.attempt.run))
        });
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
        self.queried += u32::from(step.due == Due::Query);
        match settled {
            Settled::Delivered { last: false, .. } => self.report.advanced += 1,
            Settled::Delivered { last: true, .. } => self.report.completed += 1,
            Settled::Failed { .. } => self.report.failed += 1,
            Settled::NoAnswer => self.report.skipped += 1,
            Settled::Waiting | Settled::Requeued | Settled::Superseded => {}
        }
    }

    fn report(self) -> CheckReport {
        CheckReport {
            remaining: self.open.unwrap_or(0).saturating_sub(self.queried),
            ..self.report
        }
    }
}
