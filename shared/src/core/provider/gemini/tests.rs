//! Tests recorded answers of Gemini, and what each means for a step.

use super::fault::GeminiFault;
use super::{CardImage, GeminiAccount, inlined, parse_call, stored_request, urls_in};
use crate::core::job::FailureCode;
use crate::core::provider::{About, Alarm, CallError};
use crate::core::transport::{FileInMemory, HttpResponse, TransportError};
use serde_json::{Value, json};

const PNG: &str = "iVBORw0KGgo=";
const JPEG: &str = "/9j/4AAQ";

fn parse(status: u16, body: &Value) -> Result<CardImage, GeminiFault> {
    parse_call(&Ok(HttpResponse { status, headers: Vec::new(), body: body.to_string() }))
}

fn image(kind: &str, data: &str) -> Value {
    json!({"inlineData": {"mimeType": kind, "data": data}})
}

fn candidate(reason: &str, parts: Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": reason,
        "index": 0}]})
}

fn error(code: u16, status: &str, details: Value) -> Value {
    json!({"error": {"code": code, "message": "Words.", "status": status, "details": details}})
}

/// `refused`, `alarm`, or the wait and the maximal number of attempts.
fn class(status: u16, body: &Value) -> String {
    let fault = parse(status, body).unwrap_err();
    let keys = if fault.try_other_key { " other key" } else { "" };
    let request = if fault.is_request_refused { " request" } else { "" };
    let class = match (&fault.error, &fault.alarm) {
        (CallError::Rejected(failure), None) => failure.code.as_str().to_owned(),
        (CallError::Rejected(_), Some(alarm)) => format!("alarm of {alarm}"),
        (CallError::Transient { retry_after_ms, attempts_max, .. }, _) => {
            let tries = attempts_max.map_or("all".to_owned(), |max| max.to_string());
            format!("again {}/{tries}", retry_after_ms.unwrap_or(0))
        }
    };
    format!("{class}{keys}{request}")
}

#[test]
fn the_picture_is_the_first_that_is_no_thought() {
    let mut thought = image("image/png", "AAAA");
    thought["thought"] = json!(true);
    let parts = json!([{"text": "Here it is"}, thought, image("image/jpeg", JPEG),
        image("image/png", PNG)]);
    let picture = parse(200, &candidate("STOP", parts)).unwrap();
    assert_eq!(
        (picture.content_type, picture.extension, picture.bytes.len()),
        ("image/jpeg", "jpg", 6)
    );
    let snake = json!([{"inline_data": {"mime_type": "image/png", "data": PNG}}]);
    assert_eq!(parse(200, &candidate("STOP", snake)).unwrap().extension, "png");
    let wrong_name = json!([image("image/webp", PNG)]);
    assert_eq!(parse(200, &candidate("STOP", wrong_name)).unwrap().content_type, "image/png");
    let webp = json!([{"inlineData": {"data": "UklGRgQAAABXRUJQ"}}]);
    let picture = parse(200, &candidate("STOP", webp)).unwrap();
    assert_eq!((picture.content_type, picture.extension), ("image/webp", "webp"));
    let wrapped = json!([candidate("STOP", json!([image("image/png", PNG)]))]);
    assert_eq!(parse(200, &wrapped).unwrap().extension, "png");
}

#[test]
fn an_answer_without_a_picture_is_refused_content_or_worth_a_few_tries() {
    let mut thought = image("image/png", PNG);
    thought["thought"] = json!(true);
    for (reason, parts, expected) in [
        ("SAFETY", json!([]), "CONTENT_REFUSED"),
        ("PROHIBITED_CONTENT", json!([]), "CONTENT_REFUSED"),
        ("IMAGE_SAFETY", json!([]), "CONTENT_REFUSED"),
        ("IMAGE_PROHIBITED_CONTENT", json!([]), "CONTENT_REFUSED"),
        ("BLOCKLIST", json!([]), "CONTENT_REFUSED"),
        ("SPII", json!([]), "CONTENT_REFUSED"),
        ("RECITATION", json!([]), "CONTENT_REFUSED"),
        ("IMAGE_RECITATION", json!([]), "CONTENT_REFUSED"),
        ("NO_IMAGE", json!([]), "again 0/3"),
        ("IMAGE_OTHER", json!([]), "again 0/3"),
        ("OTHER", json!([]), "again 0/3"),
        ("MALFORMED_RESPONSE", json!([]), "again 0/3"),
        ("NOT_KNOWN_YET", json!([]), "again 0/3"),
        ("STOP", json!([{"text": "only words"}]), "again 0/3"),
        ("STOP", json!([thought]), "again 0/3"),
        ("STOP", json!([image("image/png", "!!")]), "again 0/3"),
        ("STOP", json!([image("image/png", "AAAA")]), "again 0/3"),
        ("MAX_TOKENS", json!([]), "again 0/2"),
    ] {
        assert_eq!(class(200, &candidate(reason, parts)), expected, "{reason}");
    }
    for (body, expected) in [
        (json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}), "CONTENT_REFUSED"),
        (json!({"promptFeedback": {"blockReason": "JAILBREAK"}}), "CONTENT_REFUSED"),
        (json!({"promptFeedback": {"blockReason": "OTHER"}}), "again 0/3"),
        (json!({"candidates": []}), "again 0/3"),
        (json!({}), "again 0/3"),
        (json!("<html>"), "again 0/3"),
    ] {
        assert_eq!(class(200, &body), expected, "{body}");
    }
}

#[test]
fn errors_by_status() {
    let bad_key =
        json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]);
    for (status, word, details, expected) in [
        (400, "INVALID_ARGUMENT", json!([]), "PROVIDER_REJECTED request"),
        (400, "INVALID_ARGUMENT", bad_key, "alarm of account: http 400 API_KEY_INVALID"),
        (400, "FAILED_PRECONDITION", json!([]), "alarm of account: http 400 FAILED_PRECONDITION"),
        (402, "RESOURCE_EXHAUSTED", json!([]), "alarm of account: http 402 RESOURCE_EXHAUSTED"),
        (403, "PERMISSION_DENIED", json!([]), "alarm of account: http 403 PERMISSION_DENIED"),
        (404, "NOT_FOUND", json!([]), "alarm of app: http 404 NOT_FOUND"),
        (408, "", json!([]), "again 0/all"),
        (413, "", json!([]), "PROVIDER_REJECTED request"),
        (429, "RESOURCE_EXHAUSTED", json!([]), "again 0/all other key"),
        (500, "INTERNAL", json!([]), "again 0/all"),
        (502, "", json!([]), "again 0/all"),
        (503, "UNAVAILABLE", json!([]), "again 0/all other key"),
        (504, "DEADLINE_EXCEEDED", json!([]), "again 0/2"),
    ] {
        let body = error(status, word, details);
        assert_eq!(class(status, &body), expected, "{status} {word}");
        assert_eq!(class(status, &json!([body])), expected, "wrapped {status} {word}");
        assert_eq!(class(200, &body), expected, "within a 200: {status} {word}");
    }
    assert_eq!(class(503, &json!("<html>")), "again 0/all other key");
}

#[test]
fn the_delay_that_is_named_is_obeyed() {
    let info = |delay: &str| {
        json!([{"@type": "type.googleapis.com/google.rpc.Help"},
        {"retryDelay": delay}])
    };
    assert_eq!(
        class(429, &error(429, "RESOURCE_EXHAUSTED", info("47s"))),
        "again 47000/all other key"
    );
    assert_eq!(
        class(429, &error(429, "RESOURCE_EXHAUSTED", info("0.2505s"))),
        "again 251/all other key"
    );
    for (message, expected) in [
        ("Quota exceeded. Please retry in 32.5s.", "again 32500/all other key"),
        ("Please retry in soon.", "again 0/all other key"),
        ("Please retry in 500ms.", "again 0/all other key"),
    ] {
        assert_eq!(
            class(429, &json!({"error": {"code": 429, "message": message}})),
            expected,
            "{message}"
        );
    }
}

#[test]
fn a_quota_of_the_day_is_not_waited_for() {
    let quota = |id: &str| json!([{"violations": [{"quotaId": id}]}, {"retryDelay": "20s"}]);
    let day = error(
        429,
        "RESOURCE_EXHAUSTED",
        quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
    );
    assert_eq!(class(429, &day), "alarm of account: http 429 quota of the day other key");
    let minute =
        error(429, "RESOURCE_EXHAUSTED", quota("GenerateRequestsPerMinutePerProjectPerModel"));
    assert_eq!(class(429, &minute), "again 20000/all other key");
}

#[test]
fn no_answer_is_a_passing_fault() {
    for lost in [TransportError::NotSent("x".into()), TransportError::Unknown("x".into())] {
        assert!(matches!(
            parse_call(&Err(lost)).unwrap_err().error,
            CallError::Transient { attempts_max: None, .. }
        ));
    }
}

#[test]
fn a_refused_request_is_worded_without_a_code_of_ours() {
    let fault = parse(400, &error(400, "INVALID_ARGUMENT", json!([]))).unwrap_err();
    let CallError::Rejected(failure) = fault.error else { panic!("it is final") };
    assert_eq!(
        (failure.code, failure.text.as_str()),
        (FailureCode::ProviderRejected, "the provider refused the request (Words)")
    );
}

#[test]
fn a_request_names_its_files_or_holds_them() {
    let urls = ["https://p.test/a.JPG?x=1".to_owned(), "https://p.test/b".to_owned()];
    let body = &stored_request(&urls, "draw", "3:4")["body"];
    assert_eq!(urls_in(body), urls);
    assert_eq!(body["contents"][0]["parts"][0]["fileData"]["mimeType"], "image/jpeg");
    assert_eq!(body["generationConfig"]["imageConfig"]["aspectRatio"], "3:4");
    let file = |byte| FileInMemory { content_type: "image/png".to_owned(), bytes: vec![byte] };
    let whole = inlined(body, &[file(1), file(2)]);
    assert_eq!(
        whole["contents"][0]["parts"],
        json!([image("image/png", "AQ=="), image("image/png", "Ag=="), {"text": "draw"}])
    );
    let account =
        GeminiAccount { base_url: "https://g.test", model: "m-1", key: "k", other_key: None };
    let request = account.build_call("k2", &whole.to_string());
    assert_eq!(request.url, "https://g.test/v1beta/models/m-1:generateContent");
    assert!(request.headers.contains(&("x-goog-api-key".to_owned(), "k2".to_owned())));
    assert!(!request.url.contains("k2"));
}

/// Source: google-gemini/deprecated-generative-ai-js#151: the same code works from another place.
#[test]
fn a_refusal_of_the_place_may_pass_and_is_an_alarm() {
    let body = json!({"error": {"code": 400, "status": "FAILED_PRECONDITION",
        "message": "User location is not supported for the API use."}});
    assert_eq!(class(400, &body), "again 0/all");
    let alarm = parse(400, &body).unwrap_err().alarm;
    assert_eq!(alarm, Some(Alarm::new(About::Place, "http 400 location")));
}

#[test]
fn a_page_in_place_of_an_answer_may_pass_and_is_an_alarm() {
    for status in [400, 403, 404, 405] {
        let body = "<!doctype html>".to_owned();
        let page = HttpResponse { status, headers: Vec::new(), body };
        let fault = parse_call(&Ok(page)).unwrap_err();
        assert!(matches!(fault.error, CallError::Transient { .. }), "{status}: {fault:?}");
        let code = format!("http {status} without JSON");
        assert_eq!(fault.alarm, Some(Alarm::new(About::Place, code)));
    }
}
