//! The replies of the RunningHub tools, made from a job's row without I/O.

use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::JobId;
use crate::core::job::State;
use crate::core::reply::Success;
use crate::db::job::JobView;
use serde::Serialize;
use serde_json::json;

/// The reply of `run`. Each stage adds its own fields.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunReply {
    success: Success,
    job_id: JobId,
    status: &'static str,
    #[serde(flatten)]
    stage: RunStage,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    ending: Option<JobEnding>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    balance: i64,
    credits_charged: i64,
}

#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum RunStage {
    Waiting { queued: bool, position: Option<i32>, eta_seconds: i32 },
    Submitted { task_id: Option<String> },
}

/// The end of a job. All its fields but the refund are null while the job is live.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobEnding {
    output_url: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
    credits_refunded: i64,
}

/// The reply of `queue-status`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningHubStatus {
    success: Success,
    job_id: JobId,
    status: &'static str,
    position: Option<i32>,
    eta_seconds: Option<i32>,
    task_id: Option<String>,
    credits_charged: i64,
    #[serde(flatten)]
    ending: JobEnding,
}

impl RunReply {
    /// Makes the reply. If the job of a new order ended without a result, the reply is an error; a
    /// replayed order shows the job whatever its state.
    pub fn of(view: &JobView) -> Result<Self, ApiError> {
        match view.status {
            State::Failed if !view.replayed => return Err(rejected(view)),
            State::Cancelled if !view.replayed => {
                return Err(ApiError::of(ErrorCode::AlreadyFinal)
                    .with_field("status", view.status.runninghub_word())
                    .with_field("refundedCredits", view.credits_refunded));
            }
            _ => {}
        }
        let stage = if view.status.waits() {
            RunStage::Waiting {
                queued: true,
                position: view.position,
                eta_seconds: view.eta_seconds.unwrap_or(0),
            }
        } else {
            RunStage::Submitted { task_id: view.task_id.clone() }
        };
        Ok(Self {
            success: Success,
            job_id: view.job_id,
            status: view.status.runninghub_word(),
            stage,
            ending: view.status.is_final().then(|| JobEnding::of(view)),
            replayed: view.replayed,
            balance: view.balance,
            credits_charged: view.credits_charged,
        })
    }
}

impl RunningHubStatus {
    /// Makes the reply from a job in any state.
    pub fn of(view: &JobView) -> Self {
        Self {
            success: Success,
            job_id: view.job_id,
            status: view.status.runninghub_word(),
            position: view.position,
            eta_seconds: view.status.waits().then(|| view.eta_seconds.unwrap_or(0)),
            task_id: view.task_id.clone(),
            credits_charged: view.credits_charged,
            ending: JobEnding::of(view),
        }
    }
}

impl JobEnding {
    fn of(view: &JobView) -> Self {
        Self {
            output_url: view.output_url.clone(),
            error_code: view.error_code.clone(),
            error_message: view.error_message.clone(),
            credits_refunded: view.credits_refunded,
        }
    }
}

fn rejected(view: &JobView) -> ApiError {
    let message = view.error_message.clone();
    let message =
        message.unwrap_or_else(|| ErrorCode::ProviderRejected.default_message().to_owned());
    ApiError::new(ErrorCode::ProviderRejected, message)
        .with_field("jobId", json!(view.job_id))
        .with_field("status", view.status.runninghub_word())
        .with_field("errorCode", view.error_code.clone())
        .with_field("refunded", view.credits_refunded > 0)
        .with_field("refundedCredits", view.credits_refunded)
}

#[cfg(test)]
mod tests {
    use super::{RunReply, RunningHubStatus};
    use crate::core::error::ApiError;
    use crate::core::error::ErrorCode;
    use crate::core::id::JobId;
    use crate::core::job::State;
    use crate::db::job::JobView;
    use serde_json::{Value, json};

    fn run(view: &JobView) -> Result<Value, ApiError> {
        RunReply::of(view).map(|reply| json!(reply))
    }

    fn status(view: &JobView) -> Value {
        json!(RunningHubStatus::of(view))
    }

    fn view(status: State) -> JobView {
        JobView {
            job_id: JobId::from_random(1),
            status,
            replayed: false,
            credits_charged: 60,
            credits_refunded: 0,
            balance: 940,
            position: None,
            eta_seconds: None,
            task_id: None,
            output_url: None,
            error_code: None,
            error_message: None,
        }
    }

    #[test]
    fn a_running_job_has_a_task_id_or_null() {
        let body = run(&JobView { task_id: Some("7".into()), ..view(State::Running) }).unwrap();
        let id = JobId::from_random(1).to_string();
        assert_eq!(
            body,
            json!({
                "success": true,
                "jobId": id,
                "taskId": "7",
                "status": "running",
                "creditsCharged": 60,
                "balance": 940,
            })
        );
        assert_eq!(run(&view(State::Starting)).unwrap()["taskId"], Value::Null);
    }

    #[test]
    fn a_waiting_job_has_a_position_and_an_estimate() {
        let body =
            run(&JobView { position: Some(1), eta_seconds: Some(20), ..view(State::Queued) })
                .unwrap();
        assert_eq!(body["queued"], true);
        assert_eq!(body["status"], "queued");
        assert_eq!(body["position"], 1);
        assert_eq!(body["etaSeconds"], 20);
        assert_eq!(run(&view(State::Queued)).unwrap()["etaSeconds"], 0);
    }

    #[test]
    fn a_refusal_names_its_refund_and_a_replay_of_it_succeeds() {
        let failed = JobView {
            credits_refunded: 60,
            error_code: Some("PROVIDER_REJECTED".into()),
            error_message: Some("PROVIDER_REJECTED: no.".into()),
            ..view(State::Failed)
        };
        let error = run(&failed).unwrap_err();
        assert_eq!(error.code, ErrorCode::ProviderRejected);
        assert_eq!(error.message, "PROVIDER_REJECTED: no.");
        assert_eq!(error.fields["refunded"], true);
        assert_eq!(error.fields["refundedCredits"], 60);
        let replay = run(&JobView { replayed: true, ..failed }).unwrap();
        assert_eq!(replay["status"], "failed");
        assert_eq!(replay["replayed"], true);
        assert_eq!(replay["creditsRefunded"], 60);
    }

    #[test]
    fn a_job_cancelled_during_its_order_is_answered_as_final() {
        let cancelled = JobView { credits_refunded: 60, ..view(State::Cancelled) };
        assert_eq!(run(&cancelled).unwrap_err().code, ErrorCode::AlreadyFinal);
    }

    #[test]
    fn status_has_every_field_of_the_contract() {
        let body = status(&view(State::Completed));
        for name in [
            "success",
            "jobId",
            "status",
            "position",
            "etaSeconds",
            "outputUrl",
            "errorCode",
            "errorMessage",
            "creditsRefunded",
        ] {
            assert!(body.get(name).is_some(), "{name}");
        }
        assert_eq!(status(&view(State::Queued))["etaSeconds"], 0);
    }
}
