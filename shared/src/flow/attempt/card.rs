//! One card: asks Gemini for the picture and puts it into our storage.
//!
//! It decides nothing about the step: it says what was produced, or why not. The caller holds the lease.

use super::pool::Produced;
use crate::core::address;
use crate::core::id::Run;
use crate::core::job::{Failure, FailureCode};
use crate::core::provider::CallError;
use crate::core::provider::gemini::fault::Fault;
use crate::core::provider::gemini::{self, Account, INLINE_BYTES_MAX, Picture};
use crate::core::transport::{CopyError, FileInMemory, Transport};
use crate::db::step::ClaimedStep;
use crate::flow::{Cx, store};
use serde_json::{Value, json};

const DOWNLOAD_MS: u32 = 15_000;
const FIRST_RUN: Run = Run(1);

/// Makes the picture of a claimed step. What an earlier run stored before it died is taken instead of being
/// made, and billed, again. Runs are never counted anew, as attempts are for a job that an admin put back.
pub async fn make<T: Transport>(
    cx: &Cx<'_, T>,
    account: &Account<'_>,
    step: &ClaimedStep,
) -> Result<Produced, CallError> {
    if step.attempt.run > FIRST_RUN
        && let Some(url) = store::found(cx, step.user_id, step.attempt).await
    {
        return Ok(Produced { output: json!({"url": url}), url });
    }
    let Some(body) = step.input.get("body") else {
        return Err(gemini::unusable("the job holds no request for its provider"));
    };
    let picture = match with_either_key(cx, account, body).await {
        Err(fault) if fault.request && !gemini::urls_in(body).is_empty() => {
            let body = gemini::inlined(body, &files_of(cx, step, body).await?);
            with_either_key(cx, account, &body).await
        }
        answer => answer,
    };
    let Picture { content_type, extension, bytes } = picture.map_err(|fault| fault.error)?;
    let url = store::put(cx, step.user_id, step.attempt, bytes, content_type, extension)
        .await
        .map_err(not_stored)?;
    Ok(Produced { output: json!({"url": url}), url })
}

/// Where one key is full or overloaded the other is asked, once, before anything waits. An account that only the
/// operator can mend does not end what the first key will take later.
async fn with_either_key<T: Transport>(
    cx: &Cx<'_, T>,
    account: &Account<'_>,
    body: &Value,
) -> Result<Picture, Fault> {
    let first = call(cx, account, account.key, body).await;
    let (Err(Fault { other_key: true, error, .. }), Some(key)) = (&first, account.other_key) else {
        return first;
    };
    match call(cx, account, key, body).await {
        Err(fault) if fault.alarm.is_some() && matches!(error, CallError::Transient { .. }) => {
            first
        }
        answer => answer,
    }
}

async fn call<T: Transport>(
    cx: &Cx<'_, T>,
    account: &Account<'_>,
    key: &str,
    body: &Value,
) -> Result<Picture, Fault> {
    let read = gemini::parse_call(&cx.transport.send(account.build_call(key, body)).await);
    cx.alarm(gemini::NAME, read.as_ref().err().and_then(|fault| fault.alarm.as_deref()));
    read
}

/// The product images themselves, where the model does not open URLs: within a limit for all of them.
async fn files_of<T: Transport>(
    cx: &Cx<'_, T>,
    step: &ClaimedStep,
    body: &Value,
) -> Result<Vec<FileInMemory>, CallError> {
    let (mut files, mut left) = (Vec::new(), INLINE_BYTES_MAX);
    for url in gemini::urls_in(body) {
        let Ok(input) = address::input(&url, step.user_id, cx.config) else {
            return Err(gemini::unusable("a product image is not on an allowed host"));
        };
        let file = cx.transport.download(input.url(), left, DOWNLOAD_MS).await.map_err(
            |error| match error {
                CopyError::Rejected(text) => {
                    gemini::unusable(&format!("a product image cannot be used: {text}"))
                }
                CopyError::Transient(text) => {
                    CallError::passing(format!("a product image cannot be read: {text}"))
                }
            },
        )?;
        if !file.content_type.starts_with("image/") {
            return Err(gemini::unusable("a product image is no image"));
        }
        left = left.saturating_sub(file.bytes.len() as u64);
        files.push(file);
    }
    Ok(files)
}

fn not_stored(error: CopyError) -> CallError {
    let (CopyError::Rejected(text) | CopyError::Transient(text)) = error;
    let failure = Failure::new(
        FailureCode::DeliveryFailed,
        format!("the picture could not be stored: {text}"),
    );
    CallError::Transient { failure, retry_after_ms: None, attempts_max: None }
}
