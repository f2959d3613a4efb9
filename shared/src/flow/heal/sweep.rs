//! One pass of the edge's healer: what SQL can close, then what only the provider can tell, then
//! what may start. Each part runs whatever became of the one before; a bad row stops nothing.

use crate::core::error::ApiError;
use crate::core::provider::{ASYNCHRONOUS, Remote, SYNCHRONOUS};
use crate::core::transport::Transport;
use crate::db::sweep::{DueStep, SweepSource, Swept, TableCount};
use crate::flow::settle::batch::settle_all;
use crate::flow::settle::task::Settled;
use crate::flow::submit::wake;
use crate::flow::{Cx, finalise};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::json;

/// Steps of one provider asked about side by side. The platform allows six open connections, and a
/// provider that does not answer must not hold up the other.
const SIDE_BY_SIDE: usize = 3;
/// A pass begins no further question after this, so that the next one is on time.
const ASK_MS: u64 = 15_000;
/// Subrequests of one question in the worst case: query, done, claim, source and upload twice, complete, table.
const CALLS_PER_STEP: u32 = 9;
/// Subrequests of the rest of a pass, heartbeats of slow copies among them.
const CALLS_BESIDE: u32 = 40;
const SUBREQUESTS: u32 = 900;
/// As many as are asked, which share a pass's subrequests.
#[expect(clippy::cast_possible_truncation, reason = "a handful")]
const PROVIDERS: u32 = ASYNCHRONOUS.len() as u32;
const STEPS_MAX: u32 = 100;

/// What a pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub cleaned: i32,
    pub refunded_credits: i64,
    pub delivered: i32,
    pub requeued: i32,
    pub remaining: i32,
    pub tables: Vec<TableCount>,
    pub duration_ms: u64,
}

/// One pass. `passes` share the budget of subrequests; `limit` bounds what SQL closes.
pub async fn pass<T: Transport>(
    cx: &Cx<'_, T>,
    source: SweepSource,
    passes: u32,
    limit: u32,
) -> Result<Report, ApiError> {
    let began = cx.transport.now_ms();
    let sweep_id = cx.db().sweep_begin_v1(source).await?.sweep_id;
    let mut faults = Faults::default();
    let mut report = Report::default();
    if let Some(swept) = faults.keep(cx, "jobs_sweep", finalise::sweep(cx, sweep_id, limit).await) {
        report.add(swept);
    }
    let asked = join_all(ASYNCHRONOUS.iter().map(async |provider| {
        let asked = ask(cx, provider, passes, began).await;
        (asked, wake::start_next(cx, provider).await)
    }));
    let mut edge = Edge::default();
    for (asked, started) in asked.await {
        if let Some(found) = faults.keep(cx, "ask", asked) {
            edge.add(found);
        }
        faults.keep(cx, "start", started);
    }
    for provider in SYNCHRONOUS {
        faults.keep(cx, "start", wake::start_next(cx, provider).await);
    }
    report.merge(&edge);
    let ended =
        cx.db().sweep_end_v1(sweep_id, edge.delivered, edge.cleaned(), edge.refunded()).await;
    if let Some(ended) = faults.keep(cx, "sweep_end", ended.map_err(ApiError::from)) {
        // Counted at the end: asking providers closes also what the limit had left over.
        report.remaining = ended.remaining + edge.skipped;
    }
    report.duration_ms = cx.transport.now_ms().saturating_sub(began);
    match faults.first {
        Some(error) => Err(error),
        None => Ok(report),
    }
}

/// `count` passes, `every_ms` from start to start.
pub async fn passes<T: Transport>(
    cx: &Cx<'_, T>,
    source: SweepSource,
    count: u32,
    every_ms: u32,
    limit: u32,
) -> Result<(), ApiError> {
    let sweep = async || {
        let report = pass(cx, source, count, limit).await?;
        cx.log("sweep", json!({"report": report}));
        Ok(())
    };
    crate::flow::every(cx, count, every_ms, sweep).await
}

/// The first fault is answered in the end; all are logged.
#[derive(Default)]
struct Faults {
    first: Option<ApiError>,
}

impl Faults {
    fn keep<T: Transport, R>(
        &mut self,
        cx: &Cx<'_, T>,
        part: &str,
        result: Result<R, ApiError>,
    ) -> Option<R> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                cx.log(
                    "sweep_fault",
                    json!({"level": "error", "part": part, "error": error.to_string(), "detail": error.internal}),
                );
                self.first.get_or_insert(error);
                None
            }
        }
    }
}

/// What asking providers closed.
#[derive(Default)]
struct Edge {
    delivered: i32,
    requeued: i32,
    skipped: i32,
    /// Table and refund of each job that was failed.
    failed: Vec<(String, i64)>,
}

impl Edge {
    fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.requeued += other.requeued;
        self.skipped += other.skipped;
        self.failed.extend(other.failed);
    }

    fn cleaned(&self) -> i32 {
        i32::try_from(self.failed.len()).unwrap_or(i32::MAX)
    }

    fn refunded(&self) -> i64 {
        self.failed.iter().map(|(_, refunded)| refunded).sum()
    }
}

async fn ask<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    passes: u32,
    began: u64,
) -> Result<Edge, ApiError> {
    let remote = Remote::of(provider, cx.config)?;
    let calls = cx.config.subrequest_budget.unwrap_or(SUBREQUESTS) / passes.max(1) / PROVIDERS;
    let limit = (calls.saturating_sub(CALLS_BESIDE) / CALLS_PER_STEP).clamp(1, STEPS_MAX);
    let due = cx.db().steps_due_v1(provider, limit, false).await?;
    let mut edge = Edge::default();
    let late = || cx.transport.now_ms().saturating_sub(began) > ASK_MS;
    let start = async || wake::start_next(cx, provider).await;
    for (step, settled) in settle_all(cx, &remote, &due, SIDE_BY_SIDE, late, &start).await {
        match settled {
            None => edge.skipped += 1,
            Some(Settled::Delivered { .. }) => edge.delivered += 1,
            Some(Settled::Requeued) => edge.requeued += 1,
            Some(Settled::Failed { refunded }) => {
                edge.failed.push((table_of(cx, step).await, refunded))
            }
            Some(Settled::Waiting | Settled::Silent | Settled::Left) => {}
        }
    }
    Ok(edge)
}

/// Only for the report, so a fault here costs a name and nothing else.
async fn table_of<T: Transport>(cx: &Cx<'_, T>, step: &DueStep) -> String {
    match cx.db().job_get_v1(None, None, step.attempt.job).await {
        Ok(job) => job.table_name,
        Err(_) => step.tool.clone(),
    }
}

impl Report {
    fn add(&mut self, swept: Swept) {
        self.cleaned += swept.cleaned;
        self.refunded_credits += swept.refunded_credits;
        self.requeued += swept.requeued;
        self.remaining += swept.remaining;
        self.tables = swept.tables;
    }

    fn merge(&mut self, edge: &Edge) {
        self.delivered += edge.delivered;
        self.requeued += edge.requeued;
        self.remaining += edge.skipped;
        self.cleaned += edge.cleaned();
        self.refunded_credits += edge.refunded();
        for (table, refunded) in &edge.failed {
            match self.tables.iter_mut().find(|row| row.table_name == *table) {
                Some(row) => {
                    row.cancelled_count += 1;
                    row.refunded_credits += refunded;
                }
                None => self.tables.push(TableCount {
                    table_name: table.clone(),
                    cancelled_count: 1,
                    refunded_credits: *refunded,
                }),
            }
        }
    }
}
