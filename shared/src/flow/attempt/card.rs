//! Makes one card: calls Gemini and stores the image.
//!
//! This module decides nothing about the step: it returns what was produced, or why nothing was.
//! The caller holds the lease.

use super::pool::Produced;
use crate::core::address;
use crate::core::id::Run;
use crate::core::job::{Failure, FailureCode};
use crate::core::media::{MediaKind, type_of};
use crate::core::provider::CallError;
use crate::core::provider::gemini::fault::GeminiFault;
use crate::core::provider::gemini::{self, CardImage, GeminiAccount, INLINE_BYTES_MAX};
use crate::core::transport::{CopyError, FileInMemory, Transport};
use crate::db::step::ClaimedStep;
use crate::flow::permits::Permits;
use crate::flow::{Cx, store};
use serde_json::{Value, json};
use std::rc::Rc;

const DOWNLOAD_MS: u32 = 15_000;
const FIRST_RUN: Run = Run(1);
/// The number of calls in an isolate that may hold product images: each takes 30 MB of its 128 MB.
const INLINED_MAX: usize = 2;
/// The longest time that a card holds its images: the download of five, and a call with each key.
const INLINED_MS: u64 = 330_000;

thread_local! {
    static INLINED: Rc<Permits> = Permits::new(INLINED_MAX, INLINED_MS);
}

/// Makes the card of a claimed step. If an earlier run has stored the card before it died, that one
/// is used, so that no second one is paid for. The run tells this, because it never restarts at 1,
/// while the count of attempts does when an admin requeues the job.
pub async fn make<T: Transport>(
    cx: &Cx<'_, T>,
    account: &GeminiAccount<'_>,
    step: &ClaimedStep,
) -> Result<Produced, CallError> {
    if step.attempt.run > FIRST_RUN
        && let Some(url) = store::find_earlier(cx, step.user_id, step.attempt).await
    {
        return Ok(Produced { output: json!({"url": url}), url });
    }
    let Some(body) = step.input.get("body") else {
        return Err(gemini::unusable("the job holds no request for its provider"));
    };
    let image = match with_either_key(cx, account, step, &body.to_string()).await {
        Err(fault) if fault.is_request_refused && !gemini::urls_in(body).is_empty() => {
            let _permit = INLINED.with(Rc::clone).take(cx.transport).await;
            // Only the text stays in memory while the provider works.
            let text = {
                let images = product_images(cx, step, body).await?;
                gemini::inlined(body, &images).to_string()
            };
            with_either_key(cx, account, step, &text).await
        }
        answer => answer,
    };
    let CardImage { content_type, extension, bytes } = image.map_err(|fault| fault.error)?;
    let url = store::put(cx, step.user_id, step.attempt, bytes, content_type, extension)
        .await
        .map_err(not_stored)?;
    Ok(Produced { output: json!({"url": url}), url })
}

/// Calls with the first key. If that key is full or overloaded, calls once with the other key
/// before the step waits. If only the operator can correct the fault of the other account, the
/// transient fault of the first key counts, because that key will accept the card later. Only the
/// alarm of the answer that counts refuses the step.
async fn with_either_key<T: Transport>(
    cx: &Cx<'_, T>,
    account: &GeminiAccount<'_>,
    step: &ClaimedStep,
    body: &str,
) -> Result<CardImage, GeminiFault> {
    let mut answer = call(cx, account, account.key, body).await;
    if let (Err(GeminiFault { try_other_key: true, error, .. }), Some(key)) =
        (&answer, account.other_key)
    {
        let may_pass = matches!(error, CallError::Transient { .. });
        let mut other = call(cx, account, key, body).await;
        let is_alarm = other.as_ref().is_err_and(|fault| fault.alarm.is_some());
        if !(is_alarm && may_pass) {
            std::mem::swap(&mut answer, &mut other);
        }
        alarm(cx, step, None, &other).await;
    }
    alarm(cx, step, Some(&step.tool), &answer).await;
    answer
}

async fn alarm<T: Transport>(
    cx: &Cx<'_, T>,
    step: &ClaimedStep,
    refused: Option<&str>,
    answer: &Result<CardImage, GeminiFault>,
) {
    let alarm = answer.as_ref().err().and_then(|fault| fault.alarm.as_ref());
    cx.alarm(gemini::NAME, step.attempt.job, refused, alarm).await;
}

async fn call<T: Transport>(
    cx: &Cx<'_, T>,
    account: &GeminiAccount<'_>,
    key: &str,
    body: &str,
) -> Result<CardImage, GeminiFault> {
    gemini::parse_call(&cx.transport.send(account.build_call(key, body)).await)
}

/// Downloads the product images for a model that opens no URLs. One size limit covers all of them.
async fn product_images<T: Transport>(
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
                CopyError::Transient(text) | CopyError::Misconfigured(text) => {
                    CallError::transient(format!("a product image cannot be read: {text}"))
                }
            },
        )?;
        let found = type_of(&file.bytes, &file.content_type, None, Some(MediaKind::Image))
            .map_err(|what| gemini::unusable(&format!("a product image {what}")))?;
        left = left.saturating_sub(file.bytes.len() as u64);
        files.push(FileInMemory { content_type: found.content_type.to_owned(), ..file });
    }
    Ok(files)
}

fn not_stored(error: CopyError) -> CallError {
    let (CopyError::Rejected(text) | CopyError::Transient(text) | CopyError::Misconfigured(text)) =
        error;
    let failure = Failure::new(
        FailureCode::DeliveryFailed,
        format!("the picture could not be stored: {text}"),
    );
    CallError::Transient { failure, retry_after_ms: None, attempts_max: None }
}
