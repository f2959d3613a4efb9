//! The shapes in which the RunningHub tools answer. Pure: values in, JSON out.

use crate::core::error::{ApiError, ErrorCode};
use crate::core::job::State;
use crate::db::job::JobView;
use serde_json::{Map, Value, json};

/// The answer of `/run`. A job that this very request brought to an end without a result is an
/// error; a replay reports whatever became of its job.
pub fn run(view: &JobView) -> Result<Value, ApiError> {
    match view.status {
        State::Failed if !view.replayed => return Err(rejected(view)),
        State::Cancelled if !view.replayed => {
            return Err(ApiError::of(ErrorCode::AlreadyFinal)
                .with_field("status", view.status.runninghub_word())
                .with_field("refundedCredits", view.credits_refunded));
        }
        _ => {}
    }
    let mut body = common(view);
    if view.status.waits() {
        body.insert("queued".to_owned(), true.into());
        body.insert("position".to_owned(), view.position.into());
        body.insert("etaSeconds".to_owned(), view.eta_seconds.unwrap_or(0).into());
    } else {
        body.insert("taskId".to_owned(), view.task_id.clone().into());
    }
    if view.status.is_final() {
        ended(&mut body, view);
    }
    if view.replayed {
        body.insert("replayed".to_owned(), true.into());
    }
    body.insert("balance".to_owned(), view.balance.into());
    body.insert("creditsCharged".to_owned(), view.credits_charged.into());
    Ok(Value::Object(body))
}

/// The answer of `/queue-status`.
pub fn status(view: &JobView) -> Value {
    let mut body = common(view);
    let eta = if view.status.waits() { Some(view.eta_seconds.unwrap_or(0)) } else { None };
    body.insert("position".to_owned(), view.position.into());
    body.insert("etaSeconds".to_owned(), eta.into());
    body.insert("taskId".to_owned(), view.task_id.clone().into());
    body.insert("creditsCharged".to_owned(), view.credits_charged.into());
    ended(&mut body, view);
    Value::Object(body)
}

fn common(view: &JobView) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("success".to_owned(), true.into());
    body.insert("jobId".to_owned(), json!(view.job_id));
    body.insert("status".to_owned(), view.status.runninghub_word().into());
    body
}

fn ended(body: &mut Map<String, Value>, view: &JobView) {
    body.insert("outputUrl".to_owned(), view.output_url.clone().into());
    body.insert("errorCode".to_owned(), view.error_code.clone().into());
    body.insert("errorMessage".to_owned(), view.error_message.clone().into());
    body.insert("creditsRefunded".to_owned(), view.credits_refunded.into());
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
    use super::{run, status};
    use crate::core::error::ErrorCode;
    use crate::core::id::JobId;
    use crate::core::job::State;
    use crate::db::job::JobView;
    use serde_json::{Value, json};

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
    fn a_running_job_has_a_task_which_may_be_unknown_yet() {
        let body = run(&JobView { task_id: Some("7".into()), ..view(State::Running) }).unwrap();
        let id = JobId::from_random(1).to_string();
        assert_eq!(
            body,
            json!({"success": true, "jobId": id, "taskId": "7", "status": "running", "creditsCharged": 60, "balance": 940})
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
    fn a_refusal_says_what_was_returned_and_a_replay_of_it_does_not_fail() {
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
    fn a_cancel_that_overtook_the_request_wins() {
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
