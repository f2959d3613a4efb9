//! `placed-run`: makes the waiting cards and websites at providers that refuse calls from some
//! places.
//!
//! The platform runs crons and queue consumers wherever it has room; only a fetch handler runs
//! where `placement` says. So crons and consumers call this function by a binding, with the service
//! key, and wait for it. The gateway has no binding to it.

use shared::core::error::ApiError;
use shared::core::provider::{gemini, llm};
use shared::edge::Call;
use shared::flow::attempt::placed::ClaimTime;
use shared::flow::attempt::pool::{Bounds, PoolReport, run_all};
use shared::flow::attempt::{card, website};
use shared::flow::invocation::Invocation;

shared::function! {
    name: "placed-run",
    ops: {
        POST "cards" for Service => make_cards,
        POST "websites" for Service => make_websites,
    },
}

/// The concurrent calls of one run. The platform allows six open connections: the caller's own,
/// these, and one for heartbeats.
const LANES: usize = 4;

async fn make_cards(call: &Call, run: ClaimTime) -> Result<PoolReport, ApiError> {
    let cx = call.cx();
    let account = gemini::GeminiAccount::from_config(cx.config)?;
    run_all(&cx, gemini::NAME, bounds(run), async |step| card::make(&cx, &account, step).await)
        .await
}

/// Makes the websites of all kinds, because all kinds share the slots of the model.
async fn make_websites(call: &Call, run: ClaimTime) -> Result<PoolReport, ApiError> {
    let cx = call.cx();
    let account = llm::LlmAccount::from_config(cx.config)?;
    run_all(&cx, llm::NAME, bounds(run), async |step| website::make(&cx, &account, step).await)
        .await
}

fn bounds(run: ClaimTime) -> Bounds {
    Bounds { parallel: LANES, claim_for_ms: run.claim_for_ms }
}
