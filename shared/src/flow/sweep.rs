//! One pass of the edge's healer: what SQL can close, then what only the provider can tell, then
//! what may start. Each part runs whatever became of the one before; a bad row stops nothing.

use super::confirm::{self, Settled, Subject};
use super::{Cx, cancel, dispatch, finalise};
use crate::db::DbError;
use crate::db::sweep::{Due, DueStep, Source, Swept, TableCount};
use crate::error::ApiError;
use crate::provider::{ASYNCHRONOUS, Remote};
use crate::transport::Transport;
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use serde_json::json;

/// Steps asked about side by side; the platform allows six open connections.
const SIDE_BY_SIDE: usize = 5;
/// A pass begins no further question after this, so that the next one is on time.
const ASK_MS: u64 = 15_000;
/// Subrequests of one question in the worst case: query, done, source, upload, complete, table.
const CALLS_PER_STEP: u32 = 6;
/// Subrequests of the rest of a pass.
const CALLS_BESIDE: u32 = 40;
const SUBREQUESTS: u32 = 900;
const STEPS_MAX: u32 = 100;

/// What a pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub cleaned: i32,
    pub refunded_credits: i32,
    pub delivered: i32,
    pub requeued: i32,
    pub remaining: i32,
    pub tables: Vec<TableCount>,
    pub duration_ms: u64,
}

/// One pass. `passes` share the budget of subrequests; `limit` bounds what SQL closes.
pub async fn pass<T: Transport>(cx: &Cx<'_, T>, source: Source, passes: u32, limit: u32) -> Result<Report, ApiError> {
    let began = cx.transport.now_ms();
    let sweep_id = cx.db().sweep_begin_v1(source).await?;
    let mut faults = Faults::default();
    let mut report = Report::default();
    if let Some(swept) = faults.keep(cx, "jobs_sweep", finalise::sweep(cx, sweep_id, limit).await) {
        report.add(swept);
    }
    let mut edge = Edge::default();
    for provider in ASYNCHRONOUS {
        faults.keep(cx, "ask", ask(cx, provider, passes, began, &mut edge).await);
        faults.keep(cx, "dispatch", dispatch::dispatch(cx, provider, |_| {}).await);
    }
    report.merge(&edge);
    let ended = cx.db().sweep_end_v1(sweep_id, edge.delivered, edge.cleaned(), edge.refunded()).await;
    faults.keep(cx, "sweep_end", ended.map_err(ApiError::from));
    report.duration_ms = cx.transport.now_ms().saturating_sub(began);
    match faults.first {
        Some(error) => Err(error),
        None => Ok(report),
    }
}

/// `count` passes, `every_ms` from start to start.
pub async fn passes<T: Transport>(
    cx: &Cx<'_, T>,
    source: Source,
    count: u32,
    every_ms: u32,
    limit: u32,
) -> Result<(), ApiError> {
    let mut result = Ok(());
    for number in 1..=count {
        let began = cx.transport.now_ms();
        match pass(cx, source, count, limit).await {
            Ok(report) => cx.log("sweep", json!({"report": report})),
            Err(error) => result = Err(error),
        }
        let took = u32::try_from(cx.transport.now_ms().saturating_sub(began)).unwrap_or(u32::MAX);
        if number < count {
            cx.transport.sleep(every_ms.saturating_sub(took)).await;
        }
    }
    result
}

/// The first fault is answered in the end; all are logged.
#[derive(Default)]
struct Faults {
    first: Option<ApiError>,
}

impl Faults {
    fn keep<T: Transport, R>(&mut self, cx: &Cx<'_, T>, part: &str, result: Result<R, ApiError>) -> Option<R> {
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
    failed: Vec<(String, i32)>,
}

impl Edge {
    fn cleaned(&self) -> i32 {
        i32::try_from(self.failed.len()).unwrap_or(i32::MAX)
    }

    fn refunded(&self) -> i32 {
        self.failed.iter().map(|(_, refunded)| refunded).sum()
    }
}

async fn ask<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    passes: u32,
    began: u64,
    edge: &mut Edge,
) -> Result<(), ApiError> {
    let remote = Remote::of(provider, cx.config)?;
    let calls = cx.config.subrequest_budget.unwrap_or(SUBREQUESTS) / passes.max(1);
    let limit = (calls.saturating_sub(CALLS_BESIDE) / CALLS_PER_STEP).clamp(1, STEPS_MAX);
    let due = cx.db().steps_due_v1(provider, limit).await?;
    let answers: Vec<_> = stream::iter(&due)
        .map(async |step| {
            if cx.transport.now_ms().saturating_sub(began) > ASK_MS {
                return None;
            }
            Some((step, settle(cx, &remote, step).await))
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    for answer in answers {
        match answer {
            None => edge.skipped += 1,
            Some((_, Ok(Settled::Delivered))) => edge.delivered += 1,
            Some((_, Ok(Settled::Requeued))) => edge.requeued += 1,
            Some((step, Ok(Settled::Failed { refunded }))) => edge.failed.push((table_of(cx, step).await, refunded)),
            Some((_, Ok(Settled::Waiting | Settled::Left))) => {}
            Some((step, Err(error))) => {
                let error = ApiError::from(error);
                cx.log("step_fault", json!({"level": "error", "job_id": step.attempt.job, "error": error.to_string(), "detail": error.internal}));
            }
        }
    }
    Ok(())
}

async fn settle<T: Transport>(cx: &Cx<'_, T>, remote: &Remote<'_>, step: &DueStep) -> Result<Settled, DbError> {
    let known = step.due != Due::Inbox;
    match (step.due, &step.task_id, &step.output) {
        (Due::Copy, _, Some(output)) => confirm::copy(cx, remote, step.user_id, step.attempt, output).await,
        (Due::Cancel, Some(task_id), _) => {
            cancel::at_provider(cx, remote, step.attempt.job, step.attempt.step, task_id).await;
            Ok(Settled::Left)
        }
        (Due::Query | Due::Inbox, Some(task_id), _) => {
            let subject = Subject { attempt: step.attempt, user: step.user_id, task_id, known, current: true };
            confirm::confirm(cx, remote, &subject).await
        }
        // Nothing to ask by: only the clock can settle it.
        (Due::Query | Due::Inbox, None, _) => confirm::silent(cx, step.attempt, false).await,
        (Due::Copy, _, None) | (Due::Cancel, None, _) => Ok(Settled::Left),
    }
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
