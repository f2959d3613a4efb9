//! `provider-webhook`: receives providers' calls at `<provider>/<job>/<step>/<run>/<token>`.
//!
//! `serve` verifies the token before it reads the body. `record` verifies the signature if the
//! provider signs, and stores the call. After the answer, the same request queries the provider,
//! gives the slot to a waiting step, delivers the result and finalises the job. What fails, or
//! takes longer than the platform allows after an answer, goes to this function's own queue. No
//! code trusts the content of a webhook's body.

use serde::Serialize;
use serde_json::Value;
use shared::core::body::NoInput;
use shared::core::error::ApiError;
use shared::core::webhook::{NO_PROVIDER, WebhookAddress};
use shared::db::step::Attempt;
use shared::edge::{Call, OwnedCx};
use shared::flow::invocation::Invocation;
use shared::flow::settle::webhook::{WebhookHint, consume, record, settle_in_background};
use shared::flow::submit::round::starter;

shared::function! {
    name: "provider-webhook",
    ops: {
        POST "" for Provider => receive,
    },
    queue: settle,
}

#[derive(Serialize)]
struct WebhookStored {
    ok: bool,
    /// The deployment, in the answer to a test call whose address names no job.
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<String>,
}

async fn receive(call: &Call, _: NoInput) -> Result<WebhookStored, ApiError> {
    let (address, _) = WebhookAddress::of_path(&call.path).ok_or_else(ApiError::unauthorized)?;
    let WebhookAddress { provider, job, step, run } = address;
    if provider == NO_PROVIDER {
        let deployment = Some(call.cx().config.deployment()?);
        return Ok(WebhookStored { ok: true, deployment });
    }
    call.log_job(job);
    let attempt = Attempt { job, step, run };
    let hint = record(&call.cx(), provider, attempt, &call.signature, &call.raw_body).await?;
    call.background(async move |cx| {
        let provider = hint.provider.clone();
        settle_in_background(&cx, hint, &starter(&cx, &provider)).await;
    });
    Ok(WebhookStored { ok: true, deployment: None })
}

async fn settle(message: Value, cx: OwnedCx) -> Result<(), ApiError> {
    // A malformed message is dropped: a retry cannot read it either, and the sweep needs no
    // message.
    let Ok(hint) = serde_json::from_value::<WebhookHint>(message) else { return Ok(()) };
    let cx = cx.cx();
    consume(&cx, &hint, &starter(&cx, &hint.provider)).await
}
