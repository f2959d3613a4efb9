//! `replicate-async-worker`: submits the waiting steps of try-ons. It waits for no result: the
//! webhook or the checker settles them.

use serde::Serialize;
use shared::core::body::NoInput;
use shared::core::error::ApiError;
use shared::core::id::JobId;
use shared::core::provider::replicate::NAME;
use shared::edge::{Call, OwnedCx};
use shared::flow::invocation::Invocation;
use shared::flow::submit::round::{
    SubmitOutcome, SubmittedStep, submit_waiting, submit_waiting_within,
};

shared::function! {
    name: "replicate-async-worker",
    ops: {
        GET | POST "" for Scheduled => by_http,
    },
    cron: by_cron,
}

/// An HTTP caller waits for the answer, so a call submits steps only for so long. The next call
/// continues.
const BUDGET_MS: u64 = 1_500;

#[derive(Serialize)]
#[serde(untagged)]
enum SubmitReply {
    /// The last step for which the provider accepted a task.
    Started {
        task_id: JobId,
        prediction_id: String,
        step: String,
        started: usize,
    },
    NoneStarted {
        message: &'static str,
        started: usize,
    },
    NothingWaited {
        message: &'static str,
    },
}

async fn by_cron(cx: OwnedCx) -> Result<(), ApiError> {
    submit_waiting(&cx.cx(), NAME).await.map(drop)
}

async fn by_http(call: &Call, _: NoInput) -> Result<SubmitReply, ApiError> {
    let claimed = submit_waiting_within(&call.cx(), NAME, None, BUDGET_MS, &|_| {}).await?;
    let started = claimed.iter().filter_map(|step| match step {
        SubmittedStep { attempt, outcome: SubmitOutcome::Started { task_id, .. }, .. } => {
            Some((attempt, task_id))
        }
        _ => None,
    });
    let started: Vec<_> = started.collect();
    let Some((attempt, prediction_id)) = started.last() else {
        return Ok(match claimed.len() {
            0 => SubmitReply::NothingWaited { message: "No pending tasks" },
            _ => SubmitReply::NoneStarted { message: "No task could be started", started: 0 },
        });
    };
    call.log_job(attempt.job);
    let steps = call.cx().db().job_get_v1(None, None, None, attempt.job).await?.total_steps;
    Ok(SubmitReply::Started {
        task_id: attempt.job,
        prediction_id: (*prediction_id).clone(),
        step: format!("{}/{steps}", attempt.step),
        started: started.len(),
    })
}
