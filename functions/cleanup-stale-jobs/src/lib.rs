//! `cleanup-stale-jobs`: the sweep. It ends and refunds jobs past their deadline, queries providers
//! about submitted steps, delivers finished results, and starts waiting steps.
//!
//! Cron runs three passes 20 s apart, HTTP one. Missed, doubled and overlapping runs are harmless.

use serde::{Deserialize, Serialize};
use shared::core::error::ApiError;
use shared::core::reply::Success;
use shared::db::sweep::SweepSource;
use shared::edge::{Call, OwnedCx};
use shared::flow::heal::sweep::{self, JOBS_MAX, SweepReport};
use shared::flow::invocation::Invocation;

shared::function! {
    name: "cleanup-stale-jobs",
    ops: {
        GET | POST "" for Scheduled => sweep_once,
    },
    cron: by_cron,
}

const PASSES: u32 = 3;
const EVERY_MS: u32 = 20_000;

/// The largest number of stale jobs that one call ends.
#[derive(Deserialize)]
struct SweepLimit {
    limit: Option<NumberOrText>,
}

/// The limit is a number in a body, and a text in a query.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u32),
    Text(String),
    /// Any other value, so that `value` can refuse it with the name of the field.
    Other(serde::de::IgnoredAny),
}

#[derive(Serialize)]
struct Cleaned {
    success: Success,
    #[serde(flatten)]
    report: SweepReport,
}

async fn by_cron(cx: OwnedCx) -> Result<(), ApiError> {
    sweep::passes(&cx.cx(), SweepSource::Cron, PASSES, EVERY_MS, JOBS_MAX).await
}

async fn sweep_once(call: &Call, body: SweepLimit) -> Result<Cleaned, ApiError> {
    let limit = body.value()?;
    let report = sweep::pass(&call.cx(), SweepSource::Http, 1, limit).await?;
    Ok(Cleaned { success: Success, report })
}

impl SweepLimit {
    fn value(self) -> Result<u32, ApiError> {
        let number = match self.limit {
            None => return Ok(JOBS_MAX),
            Some(NumberOrText::Number(number)) => Some(number),
            Some(NumberOrText::Text(text)) => text.parse().ok(),
            Some(NumberOrText::Other(_)) => None,
        };
        number
            .filter(|number| (1..=JOBS_MAX).contains(number))
            .ok_or_else(|| ApiError::bad_field("limit", "must be a number from 1 to 10000"))
    }
}
