//! Tests recorded and documented answers of RunningHub, and what they mean.

use super::{RunningHubAccount, codes};
use crate::core::job::{Failure, FailureCode};
use crate::core::media::Output;
use crate::core::provider::{
    About, Accepted, Alarm, Asynchronous as _, CancelAnswer, SubmitDetails, SubmitError,
    TaskAnswer, WebhookReader as _,
};
use crate::core::transport::{HttpResponse, HttpResult, TransportError};
use serde_json::{Value, json};

const DETAILS: SubmitDetails<'static> =
    SubmitDetails { webhook_url: "https://f/hook", previous_output_url: None, run_ms: 1 };
const ACCOUNT: RunningHubAccount<'static> =
    RunningHubAccount { base_url: "https://rh.test/", api_key: "k" };

fn answer(status: u16, body: &str) -> HttpResult {
    Ok(HttpResponse { status, headers: Vec::new(), body: body.to_owned() })
}

fn submit(status: u16, body: &str) -> Result<Accepted, SubmitError> {
    ACCOUNT.parse_submit(&answer(status, body)).value
}

fn query(body: &str) -> TaskAnswer {
    ACCOUNT.parse_query(&answer(200, body)).value
}

#[test]
fn requests_are_what_the_provider_documents() {
    let stored = json!({"path": "/openapi/v2/run/ai-app/7", "body": {"nodeInfoList": []}});
    let request = ACCOUNT.build_submit(&stored, &DETAILS).unwrap();
    assert_eq!(request.url, "https://rh.test/openapi/v2/run/ai-app/7");
    assert_eq!(request.timeout_ms, 20_000);
    assert!(request.headers.contains(&("authorization".into(), "Bearer k".into())));
    let body: Value = serde_json::from_str(&request.body.unwrap()).unwrap();
    assert_eq!(body, json!({"nodeInfoList": [], "webhookUrl": "https://f/hook"}));

    assert_eq!(ACCOUNT.build_query("12").url, "https://rh.test/openapi/v2/query");
    assert_eq!(ACCOUNT.build_query("12").body.unwrap(), r#"{"taskId":"12"}"#);
    let cancel: Value = serde_json::from_str(&ACCOUNT.build_cancel("12").body.unwrap()).unwrap();
    assert_eq!(cancel, json!({"apiKey": "k", "taskId": "12"}));
}

#[test]
fn only_a_stored_request_of_ours_is_sent() {
    for stored in [
        json!({}),
        json!({"path": "@evil.test/", "body": {}}),
        json!({"path": "/openapi/v2/x", "body": []}),
    ] {
        assert_eq!(ACCOUNT.build_submit(&stored, &DETAILS), None, "{stored}");
    }
}

#[test]
fn ids_of_nineteen_digits_survive_as_text_or_number() {
    for id in [r#""1990123456789012345""#, "1990123456789012345"] {
        for body in [
            format!(r#"{{"taskId":{id},"status":"CREATE","errorCode":"","errorMessage":""}}"#),
            format!(
                r#"{{"code":0,"msg":"success","data":{{"taskId":{id},"taskStatus":"QUEUED"}}}}"#
            ),
        ] {
            assert_eq!(submit(200, &body).unwrap().task_id, "1990123456789012345", "{body}");
        }
    }
}

#[test]
fn an_id_that_lost_its_digits_is_no_id() {
    for id in ["1.990123456789012e18", "0", "\"\"", "null", "\"../7\"", "[]"] {
        assert_eq!(
            submit(200, &format!(r#"{{"taskId":{id}}}"#)),
            Err(SubmitError::Unknown),
            "{id}"
        );
    }
}

#[test]
fn node_errors_announce_a_failure_in_spite_of_code_zero() {
    let tips = r#"{\"result\":false,\"node_errors\":{\"3\":{\"errors\":[]}}}"#;
    let body = format!(r#"{{"taskId":"5","promptTips":"{tips}"}}"#);
    assert_eq!(
        submit(200, &body).unwrap().early_failure.unwrap().code,
        FailureCode::ProviderRejected
    );
    let fine = r#"{"taskId":"5","promptTips":"{\"result\":true,\"node_errors\":{}}"}"#;
    assert_eq!(submit(200, fine).unwrap().early_failure, None);
}

#[test]
fn the_three_error_shapes_mean_the_same() {
    for body in [
        r#"{"code":421,"msg":"TASK_QUEUE_MAXED"}"#,
        r#"{"code":"421","msg":"TASK_QUEUE_MAXED"}"#,
        r#"{"errorCode":"421","errorMessage":"TASK_QUEUE_MAXED"}"#,
        r#"{"errorCode":421,"errorMessage":"TASK_QUEUE_MAXED"}"#,
    ] {
        assert!(
            matches!(submit(200, body), Err(SubmitError::Transient { capacity: true, .. })),
            "{body}"
        );
    }
    assert!(matches!(submit(421, ""), Err(SubmitError::Transient { capacity: true, .. })));
}

#[test]
fn every_code_has_its_class_in_every_shape() {
    for row in codes::CODES {
        for body in [
            format!(r#"{{"code":{},"msg":"m"}}"#, row.number),
            format!(r#"{{"errorCode":"{}","errorMessage":"m"}}"#, row.number),
        ] {
            let parsed = ACCOUNT.parse_submit(&answer(200, &body));
            let fits = match (row.act, parsed.value) {
                (codes::Act::Capacity, Err(SubmitError::Transient { capacity, .. })) => capacity,
                (codes::Act::Retry { .. }, Err(SubmitError::Transient { capacity, .. })) => {
                    !capacity
                }
                (codes::Act::Working, Err(SubmitError::Unknown)) => true,
                (codes::Act::Refuse, Err(SubmitError::Rejected(failure))) => {
                    failure.code == FailureCode::ContentRefused
                }
                (
                    codes::Act::Reject | codes::Act::Alarm | codes::Act::NoSuchTask,
                    Err(SubmitError::Rejected(failure)),
                ) => failure.code == FailureCode::ProviderRejected,
                _ => false,
            };
            assert!(fits, "{body}");
            let about = parsed.alarm.map(|alarm| alarm.about);
            let alarms = row.act == codes::Act::Alarm;
            assert_eq!(about, alarms.then_some(row.about), "{body}");
        }
    }
}

#[test]
fn http_statuses_without_a_code() {
    let cases = [
        // A firewall's page is not the provider's answer to this request.
        (400, "transient"),
        (401, "transient"),
        (404, "transient"),
        (405, "transient"),
        (302, "transient"),
        (429, "capacity"),
        (421, "capacity"),
        (500, "transient"),
        (502, "transient"),
        (503, "transient"),
        (408, "transient"),
        (504, "unknown"),
        (524, "unknown"),
        (200, "unknown"),
        (204, "unknown"),
    ];
    for (status, class) in cases {
        let found = match submit(status, "<html>") {
            Ok(_) => "accepted",
            Err(SubmitError::Rejected(_)) => "rejected",
            Err(SubmitError::Transient { capacity: true, .. }) => "capacity",
            Err(SubmitError::Transient { .. }) => "transient",
            Err(SubmitError::Unknown) => "unknown",
        };
        assert_eq!(found, class, "{status}");
    }
    for status in [302, 400, 401, 404, 405, 418] {
        let alarm = ACCOUNT.parse_submit(&answer(status, "<html>")).alarm;
        let code = format!("http {status} without JSON");
        assert_eq!(alarm, Some(Alarm::new(About::Place, code)), "a page is about the place");
        assert!(matches!(submit(status, "{}"), Err(SubmitError::Rejected(_))), "{status}");
    }
    for (status, about) in [(302, About::Account), (401, About::Account), (404, About::App)] {
        let alarm = ACCOUNT.parse_submit(&answer(status, "")).alarm;
        assert_eq!(alarm, Some(Alarm::new(about, format!("http {status}"))));
    }
    let page = ACCOUNT.parse_cancel(&answer(200, "<html>"));
    assert_eq!(page, CancelAnswer::Refused, "a page cancels nothing");
}

#[test]
fn a_named_delay_is_passed_on() {
    let mut response = answer(429, "").unwrap();
    response.headers.push(("retry-after".into(), "40".into()));
    let said = ACCOUNT.parse_submit(&Ok(response)).value;
    assert!(matches!(said, Err(SubmitError::Transient { retry_after_ms: Some(40_000), .. })));
}

#[test]
fn no_answer_is_unknown_only_when_something_was_sent() {
    let unknown = ACCOUNT.parse_submit(&Err(TransportError::Unknown("timeout".into()))).value;
    assert_eq!(unknown, Err(SubmitError::Unknown));
    let refused = ACCOUNT.parse_submit(&Err(TransportError::NotSent("dns".into()))).value;
    assert!(matches!(refused, Err(SubmitError::Transient { capacity: false, .. })));
    assert_eq!(
        ACCOUNT.parse_query(&Err(TransportError::Unknown("timeout".into()))).value,
        TaskAnswer::NoAnswer
    );
}

#[test]
fn an_unlisted_code_is_final_and_alarms_but_a_server_error_is_not_final() {
    let parsed = ACCOUNT.parse_submit(&answer(200, r#"{"code":7777,"msg":"new"}"#));
    assert!(matches!(parsed.value, Err(SubmitError::Rejected(_))));
    assert_eq!(parsed.alarm, Some(Alarm::new(About::Other, "unlisted code 7777")));
    assert!(matches!(submit(503, r#"{"code":7777}"#), Err(SubmitError::Transient { .. })));
}

#[test]
fn progress_by_status_word() {
    for word in ["CREATE", "QUEUED", "RUNNING", "SOMETHING_NEW", ""] {
        let body = format!(r#"{{"taskId":"5","status":"{word}","errorCode":"","results":null}}"#);
        assert_eq!(query(&body), TaskAnswer::Running, "{word}");
    }
    for word in ["FAILED", "CANCEL"] {
        let body = format!(r#"{{"taskId":"5","status":"{word}","errorCode":""}}"#);
        assert!(matches!(query(&body), TaskAnswer::Failed(_)), "{word}");
    }
    assert_eq!(query(r#"{"code":0,"msg":"success","data":"RUNNING"}"#), TaskAnswer::Running);
    assert_eq!(
        query(r#"{"code":804,"msg":"APIKEY_TASK_IS_RUNNING","data":null}"#),
        TaskAnswer::Running
    );
    assert_eq!(query("{}"), TaskAnswer::NoAnswer);
    assert_eq!(query("<html>"), TaskAnswer::NoAnswer);
}

#[test]
fn results_in_both_shapes() {
    let wanted = TaskAnswer::Done(vec![Output {
        url: "https://o/a.png".into(),
        kind: "png".into(),
        node: None,
    }]);
    assert_eq!(
        query(
            r#"{"taskId":5,"status":"SUCCESS","errorCode":"",
                "results":[{"url":"https://o/a.png","outputType":"png"}]}"#
        ),
        wanted
    );
    assert_eq!(
        query(
            r#"{"code":0,"msg":"success",
                "data":[{"fileUrl":"https://o/a.png","fileType":"png","taskCostTime":"12"}]}"#
        ),
        wanted
    );
    // The files may be listed later than the success.
    for results in ["null", "[]"] {
        let body = format!(r#"{{"taskId":"5","status":"SUCCESS","results":{results}}}"#);
        assert_eq!(query(&body), TaskAnswer::Done(Vec::new()));
    }
    // A text that was cut inside of a character, as RunningHub sends it.
    let cut = r#"{"taskId":"5","status":"FAILED","errorCode":"805","errorMessage":"bad \ud83d"}"#;
    assert!(matches!(query(cut), TaskAnswer::Failed(_)));
}

#[test]
fn an_error_code_in_a_poll_is_a_failure_whatever_the_status() {
    let body = r#"{"taskId":"5","status":"SUCCESS","errorCode":"805","errorMessage":"x",
        "failedReason":{"node_name":"KSampler",
        "exception_message":"out of memory","traceback":"secret"}}"#;
    let TaskAnswer::Failed(failure) = query(body) else { panic!("not failed") };
    assert_eq!(failure, Failure::new(FailureCode::ProviderFailed, "out of memory"));
    let refused =
        query(r#"{"taskId":"5","status":"RUNNING","errorCode":"1501","errorMessage":"nsfw"}"#);
    assert!(matches!(refused,
            TaskAnswer::Failed(failure) if failure.code == FailureCode::ContentRefused));
    let passing = query(r#"{"taskId":"5","status":"FAILED","errorCode":1015,"errorMessage":"x"}"#);
    assert!(matches!(passing, TaskAnswer::Interrupted(_)));
    let unloaded = query(
        r#"{"taskId":"5","status":"FAILED","errorCode":"805","failedReason":{
        "exception_message":"503 Server Error: Service Unavailable for url: https://a.example"}}"#,
    );
    assert!(matches!(unloaded, TaskAnswer::Interrupted(_)));
    let legacy =
        query(r#"{"code":805,"msg":"E","data":{"failedReason":{"exception_message":"bad"}}}"#);
    assert!(matches!(legacy, TaskAnswer::Failed(failure) if failure.text == "bad"));
}

#[test]
fn an_error_of_the_query_says_nothing_about_the_task() {
    for body in [r#"{"errorCode":"1003","errorMessage":"slow down"}"#, r#"{"code":1005,"msg":"x"}"#]
    {
        assert_eq!(query(body), TaskAnswer::NoAnswer, "{body}");
    }
    let dead_key = ACCOUNT.parse_query(&answer(200, r#"{"code":412,"msg":"TOKEN_INVALID"}"#));
    assert_eq!(dead_key.value, TaskAnswer::NoAnswer);
    assert!(dead_key.alarm.is_some());
    for code in [423, 807, 1004] {
        assert_eq!(query(&format!(r#"{{"code":{code},"msg":"none"}}"#)), TaskAnswer::NoSuchTask);
    }
    assert_eq!(ACCOUNT.parse_query(&answer(503, "")).value, TaskAnswer::NoAnswer);
}

#[test]
fn a_cancel_is_over_when_it_was_accepted_and_an_unknown_task_is_queried() {
    let cancelled = |status: u16, body: &str| ACCOUNT.parse_cancel(&answer(status, body));
    let success = r#"{"code":0,"msg":"success","data":null}"#;
    assert_eq!(cancelled(200, success), CancelAnswer::Accepted);
    let unknown = r#"{"code":807,"msg":"APIKEY_TASK_NOT_FOUND"}"#;
    assert_eq!(cancelled(200, unknown), CancelAnswer::UnknownTask);
    for body in [r#"{"code":412,"msg":"TOKEN_INVALID"}"#, r#"{"code":1003,"msg":"slow"}"#] {
        assert_eq!(cancelled(200, body), CancelAnswer::Refused, "{body}");
    }
    assert_eq!(cancelled(502, "<html>"), CancelAnswer::Refused);
    let lost = ACCOUNT.parse_cancel(&Err(TransportError::Unknown("timeout".into())));
    assert_eq!(lost, CancelAnswer::Refused);
}

#[test]
fn a_webhook_names_its_task_in_either_form() {
    let bodies = [
        json!({"event": "TASK_END", "taskId": "1990123456789012345",
            "eventData": "{\"code\":0,\"data\":[]}"}),
        json!({"event": "TASK_END", "taskId": 1_990_123_456_789_012_345_u64,
            "eventData": {"status": "SUCCESS"}}),
        json!({"event": "TASK_END", "eventData": {"taskId": "1990123456789012345"}}),
        json!({"event": "TASK_END", "eventData": "{\"taskId\":\"1990123456789012345\"}"}),
    ];
    for body in bodies {
        assert_eq!(ACCOUNT.task_id(&body).as_deref(), Some("1990123456789012345"), "{body}");
    }
    assert_eq!(ACCOUNT.task_id(&json!({"eventData": "not json"})), None);
}

#[test]
fn what_is_left_on_our_account_comes_as_numbers_or_as_text() {
    let request = ACCOUNT.build_balance().unwrap();
    assert_eq!(request.url, "https://rh.test/uc/openapi/accountStatus");
    assert_eq!(request.body.as_deref(), Some(r#"{"apikey":"k"}"#));
    for (body, told) in [
        (
            r#"{"code":0,"data":{"remainCoins":"120","remainMoney":null,"currency":null}}"#,
            json!({"coins": 120.0}),
        ),
        (
            r#"{"code":0,"data":{"remainCoins":7,"remainMoney":"3.5","currency":"USD"}}"#,
            json!({"coins": 7.0, "USD": 3.5}),
        ),
        (r#"{"code":802,"msg":"APIKEY_UNAUTHORIZED","data":null}"#, json!({})),
        ("<html>", json!({})),
    ] {
        assert_eq!(Value::Object(ACCOUNT.parse_balance(&answer(200, body))), told, "{body}");
    }
}
