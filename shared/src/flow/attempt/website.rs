//! Makes one website: asks the text model, reads its answer while it arrives, checks and stores the
//! files. `pool` claims the step and records the outcome.
//!
//! All files of a website are one object in storage, whose path is fenced like that of every
//! result: a website exists completely or not at all.

use super::pool::Produced;
use crate::core::error::ApiError;
use crate::core::id::UserId;
use crate::core::job::{Failure, FailureCode};
use crate::core::provider::llm::{self, LlmAccount, LlmReader, Question, Wording};
use crate::core::provider::{CallError, Parsed};
use crate::core::transport::{HttpRequest, Streams, Transport};
use crate::core::website::files::{self, WebsiteFile};
use crate::core::website::order::{self, WebsiteOrder};
use crate::core::website::{WebsiteKind, WebsiteManifest};
use crate::db::step::{Attempt, ClaimedStep};
use crate::flow::{Cx, store};
use serde::{Deserialize, Serialize};
use serde_json::json;

const LOAD_MS: u32 = 15_000;

/// The content of a website's object in storage.
#[derive(Serialize, Deserialize)]
struct Bundle {
    files: Vec<WebsiteFile>,
}

/// Makes the website of a claimed step.
pub async fn make<T: Streams>(
    cx: &Cx<'_, T>,
    account: &LlmAccount<'_>,
    step: &ClaimedStep,
) -> Result<Produced, CallError> {
    let rejected =
        |text: &str| CallError::Rejected(Failure::new(FailureCode::ProviderRejected, text));
    let kind = WebsiteKind::of_tool(&step.tool).ok_or_else(|| rejected("the job is no website"))?;
    let ordered = serde_json::from_value(step.input.clone())
        .map_err(|_| rejected("the job holds no order of a website"))?;
    let answer = ask(cx, account, step, kind, &ordered).await?;
    let files = files::of_answer(kind, &answer).map_err(|why| llm::useless(&why))?;
    store_files(cx, step.user_id, step.attempt, kind, files).await
}

async fn ask<T: Streams>(
    cx: &Cx<'_, T>,
    account: &LlmAccount<'_>,
    step: &ClaimedStep,
    kind: WebsiteKind,
    ordered: &WebsiteOrder,
) -> Result<String, CallError> {
    let (system, user, form) = (order::system_text(kind), ordered.user_text(), order::form());
    let question =
        Question { system: &system, user: &user, form: &form, form_name: order::FORM_NAME };
    let stall_ms = cx.config.llm_stall_ms;
    let mut wording = Wording::new(account.api, cx.config.llm_max_tokens);
    let parsed = loop {
        let mut reader = LlmReader::new(account.api);
        let request = account.build(&question, wording, stall_ms);
        match cx.transport.stream(request, stall_ms, |chunk| reader.feed(chunk)).await {
            Ok(response) if response.is_success() => break reader.finish(),
            Ok(response) => match wording.after(&response) {
                Some(other) => wording = other,
                None => {
                    let Parsed { value, alarm } = llm::parse_refusal(&response);
                    break Parsed { value: Err(value), alarm };
                }
            },
            // If the API has marked the answer as complete, it does not matter how the connection
            // ended.
            Err(error) => match reader.finish() {
                Parsed { value: Ok(text), alarm } => break Parsed { value: Ok(text), alarm },
                _ => break Parsed::ok(Err(llm::parse_lost(&error))),
            },
        }
    };
    cx.alarm(llm::NAME, step.attempt.job, Some(&step.tool), parsed.alarm.as_ref()).await;
    parsed.value
}

async fn store_files<T: Transport>(
    cx: &Cx<'_, T>,
    user: UserId,
    attempt: Attempt,
    kind: WebsiteKind,
    files: Vec<WebsiteFile>,
) -> Result<Produced, CallError> {
    let failed = |why: String| {
        cx.log("store_error", json!({"job_id": attempt.job, "error": why}));
        let failure = Failure::new(FailureCode::DeliveryFailed, "the site could not be stored");
        CallError::Transient { failure, retry_after_ms: None, attempts_max: None }
    };
    let manifest = WebsiteManifest::of(kind, &files);
    let body = serde_json::to_vec(&Bundle { files }).map_err(|error| failed(error.to_string()))?;
    let stored = store::put(cx, user, attempt, body, "application/json", "json").await;
    let url = stored.map_err(|error| failed(format!("{error:?}")))?;
    Ok(Produced { output: json!(manifest), url })
}

/// Reads the files of a completed website from the URL in its row.
pub async fn load<T: Transport>(cx: &Cx<'_, T>, url: &str) -> Result<Vec<WebsiteFile>, ApiError> {
    let bucket = &cx.config.results_bucket;
    let ours = format!("{}/storage/v1/object/public/{bucket}/", cx.config.supabase_url()?);
    if !url.starts_with(&ours) {
        return Err(ApiError::internal("the files of a website are not in our storage"));
    }
    let request = HttpRequest {
        method: "GET",
        url: url.to_owned(),
        headers: Vec::new(),
        body: None,
        timeout_ms: LOAD_MS,
    };
    match cx.transport.send(request).await {
        Ok(response) if response.is_success() => {
            let bundle: Bundle = serde_json::from_str(&response.body)
                .map_err(|error| ApiError::internal(error.to_string()))?;
            Ok(bundle.files)
        }
        Ok(response) => Err(ApiError::upstream(format!("storage answered {}", response.status))),
        Err(error) => Err(ApiError::upstream(format!("storage: {error}"))),
    }
}
