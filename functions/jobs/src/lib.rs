//! `jobs`: shows, lists and cancels the jobs of every tool in one vocabulary. The gateway passes
//! orders and quotes on to the function of the tool, and those that name no tool to this one.

use serde::Deserialize;
use serde_json::{Map, Value};
use shared::core::body::NoInput;
use shared::core::error::{ApiError, ErrorCode};
use shared::core::id::JobId;
use shared::db::job::JobPage;
use shared::edge::Call;
use shared::flow::finalise;
use shared::flow::invocation::Invocation;

shared::function! {
    name: "jobs",
    ops: {
        GET "" for UserOrBehalf as Read => list,
        POST "" for UserOrBehalf => refuse,
        GET "{id}" for UserOrBehalf as Read => show,
        POST "{id}/cancel" for UserOrBehalf => cancel,
    },
    quote: refuse,
}

const LIMIT: u32 = 20;
const LIMIT_MAX: u32 = 100;

/// The words for a job's status, the same for all tools.
const STATUSES: [&str; 5] = ["queued", "running", "completed", "failed", "cancelled"];

/// The query of a list. An empty field counts as absent.
#[derive(Deserialize)]
struct ListQuery {
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    limit: String,
    #[serde(default)]
    status: String,
}

impl ListQuery {
    fn limit(&self) -> Result<u32, ApiError> {
        if self.limit.is_empty() {
            return Ok(LIMIT);
        }
        let limit = self.limit.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| ApiError::bad_field("limit", "must be a number from 1 to 100"))
    }

    fn status(&self) -> Result<Option<&str>, ApiError> {
        let status = given(&self.status);
        if status.is_some_and(|status| !STATUSES.contains(&status)) {
            let problem = format!("must be one of {}", STATUSES.join(", "));
            return Err(ApiError::bad_field("status", &problem));
        }
        Ok(status)
    }
}

fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

async fn list(call: &Call, query: ListQuery) -> Result<JobPage, ApiError> {
    let (limit, status) = (query.limit()?, query.status()?);
    let page = call.cx().db().jobs_list_v1(call.user()?, given(&query.cursor), status, limit).await;
    page.map_err(|error| match error.is(ErrorCode::BadRequest) {
        true => ApiError::bad_field("cursor", "is not the `next` of a list"),
        false => error.into(),
    })
}

async fn show(call: &Call, _: NoInput) -> Result<Map<String, Value>, ApiError> {
    let job = named(call)?;
    Ok(call.cx().db().job_show_v1(call.user()?, job).await?)
}

/// An order or a quote of a tool that no function makes.
#[derive(Deserialize)]
struct UnmadeTool {
    #[expect(dead_code, reason = "only that it is there counts: no function makes the tool")]
    tool: String,
}

async fn refuse(_: &Call, _: UnmadeTool) -> Result<(), ApiError> {
    Err(ApiError::not_found())
}

/// A job that users may cancel usually waits and holds no slot. If a tool allows more, the next
/// sweep tells the provider and fills the slot.
async fn cancel(call: &Call, _: NoInput) -> Result<Map<String, Value>, ApiError> {
    let job = named(call)?;
    finalise::cancel_of_any_tool(&call.cx(), call.user()?, job).await
}

/// The job in the path. Answers 404 if it is no id.
fn named(call: &Call) -> Result<JobId, ApiError> {
    let job = call.path.first().and_then(|id| JobId::parse(id)).ok_or_else(ApiError::not_found)?;
    call.log_job(job);
    Ok(job)
}
