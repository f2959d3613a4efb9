//! One sweep over all stale jobs: closes what SQL can close, settles the steps about which only a
//! provider can tell, then starts waiting steps. Each part runs even if an earlier one failed; a
//! bad row stops nothing.

use crate::core::error::ApiError;
use crate::core::provider::{self, ASYNCHRONOUS, SYNCHRONOUS};
use crate::core::transport::Transport;
use crate::db::sweep::{DueStep, SweepSource, Swept, TableCount};
use crate::flow::join::join_all;
use crate::flow::settle::batch::settle_all;
use crate::flow::settle::task::Settled;
use crate::flow::submit::round::starter;
use crate::flow::submit::wake;
use crate::flow::{Cx, finalise};
use serde::Serialize;
use serde_json::json;

/// The number of one provider's steps that are settled in parallel. The platform allows six open
/// connections, and a provider without answers must not delay another.
const PARALLEL: usize = 3;
/// No query begins after this time, so that the next pass starts on time.
const QUERY_FOR_MS: u64 = 15_000;
/// Subrequests of one step in the worst case: query, done, claim, source and upload twice,
/// complete, table.
const CALLS_PER_STEP: u32 = 9;
/// Subrequests of the rest of a pass, including the heartbeats of slow copies.
const CALLS_OVERHEAD: u32 = 40;
const SUBREQUESTS: u32 = 900;
/// The number of providers queried per pass; they share its subrequest budget.
#[expect(clippy::cast_possible_truncation, reason = "a handful")]
const PROVIDERS: u32 = ASYNCHRONOUS.len() as u32;
const STEPS_MAX: u32 = 100;
/// The largest number of jobs that SQL closes in one pass, and the default. The database's time
/// limit for a pass bounds it too.
pub const JOBS_MAX: u32 = 10_000;

/// What a pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepReport {
    pub cleaned: i32,
    pub refunded_credits: i64,
    pub delivered: i32,
    pub requeued: i32,
    pub remaining: i32,
    pub tables: Vec<TableCount>,
    pub duration_ms: u64,
}

/// Runs one pass. `passes` passes share the budget of subrequests; `limit` bounds the jobs that SQL
/// closes.
pub async fn pass<T: Transport>(
    cx: &Cx<'_, T>,
    source: SweepSource,
    passes: u32,
    limit: u32,
) -> Result<SweepReport, ApiError> {
    let began = cx.transport.now_ms();
    let sweep_id = cx.db().sweep_begin_v1(source).await?.sweep_id;
    let mut faults = SweepFaults::default();
    let mut report = SweepReport::default();
    if let Some(swept) = faults.keep(cx, "jobs_sweep", finalise::sweep(cx, sweep_id, limit).await) {
        report.add(swept);
    }
    let providers = join_all(ASYNCHRONOUS.iter().map(async |provider| {
        let settled = settle(cx, provider, passes, began).await;
        (settled, wake::start_waiting(cx, provider).await)
    }));
    let mut all = SettledSteps::default();
    for (settled, started) in providers.await {
        if let Some(settled) = faults.keep(cx, "settle", settled) {
            all.add(settled);
        }
        faults.keep(cx, "start", started);
    }
    for provider in SYNCHRONOUS {
        faults.keep(cx, "start", wake::start_waiting(cx, provider.name).await);
    }
    report.merge(&all);
    let ended = cx.db().sweep_end_v1(sweep_id, all.delivered, all.cleaned(), all.refunded()).await;
    if let Some(ended) = faults.keep(cx, "sweep_end", ended.map_err(ApiError::from)) {
        // Counted at the end, because settling also closes jobs that were beyond the limit.
        report.remaining = ended.remaining + all.skipped;
        if ended.ping_queues {
            wake::probe_queues(cx).await;
        }
        if ended.ask_balances {
            faults.keep(cx, "balances", balances(cx).await);
        }
    }
    report.duration_ms = cx.transport.now_ms().saturating_sub(began);
    match faults.first {
        Some(error) => Err(error),
        None => Ok(report),
    }
}

/// Queries the balance of our account at each provider that has a call for it. A provider that does
/// not answer is queried again by a later pass.
async fn balances<T: Transport>(cx: &Cx<'_, T>) -> Result<(), ApiError> {
    for provider in ASYNCHRONOUS {
        // A provider without settings is not used by this deployment.
        let Ok(account) = provider::asynchronous(provider, cx.config) else { continue };
        let Some(request) = account.build_balance() else { continue };
        let amounts = account.parse_balance(&cx.transport.send(request).await);
        if !amounts.is_empty() {
            cx.db().provider_balance_v1(provider, &amounts).await?;
        }
    }
    Ok(())
}

/// Runs `count` passes, which begin `every_ms` apart.
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
    crate::flow::at_intervals(cx, count, every_ms, sweep).await
}

/// The faults of a pass: logs all, and keeps the first for the answer.
#[derive(Default)]
struct SweepFaults {
    first: Option<ApiError>,
}

impl SweepFaults {
    fn keep<T: Transport, R>(
        &mut self,
        cx: &Cx<'_, T>,
        part: &str,
        result: Result<R, ApiError>,
    ) -> Option<R> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                cx.log_error("sweep_error", &error, json!({"part": part}));
                self.first.get_or_insert(error);
                None
            }
        }
    }
}

/// The steps that a pass settled by querying providers.
#[derive(Default)]
struct SettledSteps {
    delivered: i32,
    requeued: i32,
    skipped: i32,
    /// The table and the refund of each failed job.
    failed: Vec<(String, i64)>,
}

impl SettledSteps {
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

async fn settle<T: Transport>(
    cx: &Cx<'_, T>,
    provider: &str,
    passes: u32,
    began: u64,
) -> Result<SettledSteps, ApiError> {
    let account = provider::asynchronous(provider, cx.config)?;
    let calls = cx.config.subrequest_budget.unwrap_or(SUBREQUESTS) / passes.max(1) / PROVIDERS;
    let limit = (calls.saturating_sub(CALLS_OVERHEAD) / CALLS_PER_STEP).clamp(1, STEPS_MAX);
    let due = cx.db().steps_due_v1(provider, limit, false).await?;
    let mut all = SettledSteps::default();
    let is_late = || cx.transport.now_ms().saturating_sub(began) > QUERY_FOR_MS;
    let start = starter(cx, provider);
    let healer = cx.of_healer();
    for (step, settled) in settle_all(&healer, &*account, &due, PARALLEL, is_late, &start).await {
        match settled {
            None => all.skipped += 1,
            Some(Settled::Delivered { .. }) => all.delivered += 1,
            Some(Settled::Requeued) => all.requeued += 1,
            Some(Settled::Failed { refunded }) => {
                all.failed.push((table_of(cx, step).await, refunded))
            }
            Some(Settled::Waiting | Settled::NoAnswer | Settled::Superseded) => {}
        }
    }
    Ok(all)
}

/// The job's table, for the report; the tool's name if the job cannot be read.
async fn table_of<T: Transport>(cx: &Cx<'_, T>, step: &DueStep) -> String {
    match cx.db().job_get_v1(None, None, None, step.attempt.job).await {
        Ok(job) => job.table_name,
        Err(_) => step.tool.clone(),
    }
}

impl SweepReport {
    fn add(&mut self, swept: Swept) {
        self.cleaned += swept.cleaned;
        self.refunded_credits += swept.refunded_credits;
        self.requeued += swept.requeued;
        self.remaining += swept.remaining;
        self.tables = swept.tables;
    }

    fn merge(&mut self, settled: &SettledSteps) {
        self.delivered += settled.delivered;
        self.requeued += settled.requeued;
        self.remaining += settled.skipped;
        self.cleaned += settled.cleaned();
        self.refunded_credits += settled.refunded();
        for (table, refunded) in &settled.failed {
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
