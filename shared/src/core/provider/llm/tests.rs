//! Tests the possible answers of each API, whole and in pieces, and what they mean for the attempt.

use super::{LlmAccount, LlmAnswer, LlmApi, LlmReader, Question, Wording, parse_refusal};
use crate::core::provider::{About, Alarm, CallError, Parsed};
use crate::core::transport::HttpResponse;
use serde_json::{Value, json};

fn account(api: LlmApi) -> LlmAccount<'static> {
    LlmAccount { api, base_url: "https://llm.test/v1", api_key: "key", model: "m-1" }
}

fn built(api: LlmApi) -> (Vec<(String, String)>, Value, String) {
    let form = json!({"type": "object"});
    let question = Question { system: "rules", user: "order", form: &form, form_name: "site" };
    let request = account(api).build(&question, Wording::new(api, 32_000), 1_000);
    (request.headers, serde_json::from_str(request.body.as_deref().unwrap()).unwrap(), request.url)
}

#[test]
fn requests_are_worded_as_each_api_wants_them() {
    let (headers, body, url) = built(LlmApi::OpenAi);
    assert_eq!(url, "https://llm.test/v1/chat/completions");
    assert!(headers.contains(&("authorization".into(), "Bearer key".into())));
    assert_eq!(body["response_format"]["json_schema"]["strict"], true);
    assert_eq!((&body["stream"], &body["model"]), (&json!(true), &json!("m-1")));
    assert_eq!(body["messages"][1], json!({"role": "user", "content": "order"}));

    let (headers, body, url) = built(LlmApi::Anthropic);
    assert_eq!(url, "https://llm.test/v1/messages");
    assert!(headers.contains(&("x-api-key".into(), "key".into())));
    assert!(headers.iter().any(|(name, _)| name == "anthropic-version"));
    assert!(headers.iter().all(|(name, _)| name != "authorization"));
    assert_eq!(
        (&body["system"], &body["output_config"]["format"]["type"]),
        (&json!("rules"), &json!("json_schema"))
    );
    assert!(body["max_tokens"].as_u64().is_some());
}

/// Reads a stream at once and byte by byte. Both must give the same result.
fn read(api: LlmApi, stream: &str) -> LlmAnswer {
    let run = |chunks: Vec<&[u8]>| {
        let mut reader = LlmReader::new(api);
        for chunk in chunks {
            if !reader.feed(chunk) {
                break;
            }
        }
        reader.finish()
    };
    let whole = run(vec![stream.as_bytes()]);
    assert_eq!(whole, run(stream.as_bytes().chunks(1).collect()), "{stream}");
    whole
}

fn chunk(text: &str, finish: Option<&str>) -> String {
    let event = json!({"object": "chat.completion.chunk", "choices": [{"index": 0,
        "delta": {"content": text}, "finish_reason": finish}]});
    format!("data: {event}\n\n")
}

fn claude(kind: &str, more: Value) -> String {
    let mut event = json!({"type": kind});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    format!("event: {kind}\ndata: {event}\n\n")
}

fn stopped(reason: &str) -> String {
    claude(
        "content_block_delta",
        json!({"index": 0, "delta": {"type": "text_delta", "text": "ä😀"}}),
    ) + &claude("ping", json!({}))
        + &claude("message_delta", json!({"delta": {"stop_reason": reason}}))
        + &claude("message_stop", json!({}))
}

/// The class of the answer in a word, and the alarm.
fn class(parsed: &Parsed<Result<String, CallError>>) -> String {
    let word = match &parsed.value {
        Ok(text) => format!("ok {text}"),
        Err(CallError::Rejected(failure)) => failure.code.as_str().to_owned(),
        Err(CallError::Transient { failure, retry_after_ms, attempts_max: None }) => {
            format!("again {} {}", retry_after_ms.unwrap_or(0), failure.text)
        }
        Err(other) => panic!("{other:?}"),
    };
    match &parsed.alarm {
        Some(alarm) => format!("{word}, alarm {alarm}"),
        None => word,
    }
}

const CUT: &str = "again 0 the answer was cut off at its longest allowed length";
const EARLY: &str = "again 0 the answer ended early";
const FAULT: &str = "again 0 the text model had a passing fault";
const BUSY: &str = "again 0 the text model is busy";

#[test]
fn openai_streams() {
    let usage = "data: {\"choices\":[],\"usage\":{\"total_tokens\":9}}\n\n";
    let done = "data: [DONE]\n\n";
    for (stream, expected) in [
        (
            format!(
                ": OPENROUTER PROCESSING\n\n{}{}{usage}{done}",
                chunk("a", None),
                chunk("ö", Some("stop"))
            ),
            "ok aö",
        ),
        (chunk("a", Some("stop")), "ok a"),
        (chunk("a", None) + &chunk("b", Some("length")) + done, CUT),
        (chunk("a", None) + &chunk("", Some("content_filter")) + done, "CONTENT_REFUSED"),
        (chunk("a", Some("tool_calls")), "again 0 the text model ended without an answer"),
        (chunk("a", None), EARLY),
        (chunk("a", None) + done, EARLY),
        (String::new(), EARLY),
        ("<html>Bad gateway</html>".to_owned(), EARLY),
        (chunk("a", None) + "data: {half\n\n", "again 0 the answer could not be read"),
        (
            "data: {\"choices\":[{\"delta\":{\"refusal\":\"I cannot\"},\
             \"finish_reason\":\"stop\"}]}\n\n"
                .to_owned(),
            "CONTENT_REFUSED",
        ),
    ] {
        assert_eq!(class(&read(LlmApi::OpenAi, &stream)), expected, "{stream}");
    }
}

#[test]
fn anthropic_streams() {
    for (stream, expected) in [
        (stopped("end_turn"), "ok ä😀"),
        (stopped("stop_sequence"), "ok ä😀"),
        (stopped("max_tokens"), CUT),
        (stopped("model_context_window_exceeded"), CUT),
        (stopped("refusal"), "CONTENT_REFUSED"),
        (stopped("pause_turn"), "again 0 the text model ended without an answer"),
        (claude("message_start", json!({"message": {}})), EARLY),
        (claude("message_stop", json!({})), EARLY),
    ] {
        assert_eq!(class(&read(LlmApi::Anthropic, &stream)), expected, "{stream}");
    }
}

#[test]
fn an_error_after_200_is_of_its_class() {
    let inside = |error: Value| {
        chunk("a", None)
            + &format!(
                "data: {}\n\n",
                json!({"error": error, "choices": [{"delta": {}, "finish_reason": "error"}]})
            )
    };
    for (error, expected) in [
        (json!({"code": 502, "message": "upstream"}), FAULT),
        (
            json!({"code": 429, "message": "x", "metadata": {"retry_after": 7}}),
            "again 7000 the text model is busy",
        ),
        (json!({"code": "server_error", "message": "x"}), FAULT),
        (json!({"message": "no words"}), FAULT),
        (json!({"code": 402, "message": "x"}), "PROVIDER_REJECTED, alarm account: 402"),
        (
            json!({"code": 403, "message": "x", "metadata": {"reasons": ["violence"]}}),
            "CONTENT_REFUSED",
        ),
        (json!({"code": "invalid_api_key"}), "PROVIDER_REJECTED, alarm account: invalid_api_key"),
    ] {
        assert_eq!(class(&read(LlmApi::OpenAi, &inside(error.clone()))), expected, "{error}");
    }
    for (kind, expected) in [
        ("overloaded_error", FAULT),
        ("api_error", FAULT),
        ("billing_error", "PROVIDER_REJECTED, alarm account: billing_error"),
        ("invalid_request_error", "PROVIDER_REJECTED, alarm input: invalid_request_error"),
    ] {
        let stream = claude("error", json!({"error": {"type": kind, "message": "x"}}));
        assert_eq!(class(&read(LlmApi::Anthropic, &stream)), expected, "{kind}");
    }
}

#[test]
fn a_server_that_does_not_stream_is_understood() {
    for (api, body, expected) in [
        (
            LlmApi::OpenAi,
            json!({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}),
            "ok a",
        ),
        (
            LlmApi::OpenAi,
            json!({"choices": [{"message": {"content": "a"}, "finish_reason": "length"}]}),
            CUT,
        ),
        (LlmApi::OpenAi, json!({"error": {"code": 503, "message": "x"}}), BUSY),
        (
            LlmApi::OpenAi,
            json!({"type": "payment_required", "message": "Not enough credits", "details": ""}),
            "PROVIDER_REJECTED, alarm account: payment_required",
        ),
        (LlmApi::OpenAi, json!({}), EARLY),
        (
            LlmApi::Anthropic,
            json!({"type": "message", "content": [{"type": "text", "text": "a"}],
                "stop_reason": "end_turn"}),
            "ok a",
        ),
        (LlmApi::Anthropic, json!({"type": "error", "error": {"type": "overloaded_error"}}), FAULT),
    ] {
        assert_eq!(class(&read(api, &body.to_string())), expected, "{body}");
    }
    let blank = format!("{}{}", " \n".repeat(50), chunk("a", Some("stop")));
    assert_eq!(class(&read(LlmApi::OpenAi, &blank)), "ok a");
    let blank = format!(
        "{}{}",
        " \r\n".repeat(50),
        json!({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]})
    );
    assert_eq!(class(&read(LlmApi::OpenAi, &blank)), "ok a");
    assert_eq!(class(&read(LlmApi::OpenAi, "{half")), "again 0 the answer could not be read");
}

#[test]
fn an_endless_answer_is_given_up() {
    let mut reader = LlmReader::new(LlmApi::OpenAi);
    let piece = chunk(&"x".repeat(1 << 20), None);
    let fed = (0..100).take_while(|_| reader.feed(piece.as_bytes())).count();
    assert!(fed < 12, "{fed} MB were taken");
    assert_eq!(class(&reader.finish()), "again 0 the answer was too large");
}

fn refused(status: u16, headers: &[(&str, &str)], body: &Value) -> String {
    let headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let Parsed { value, alarm } =
        parse_refusal(&HttpResponse { status, headers, body: body.to_string() });
    class(&Parsed { value: Err(value), alarm })
}

#[test]
fn refusals_by_status_words_and_delay() {
    let openai = |kind: &str, code: &str| {
        let error = json!({"message": "x", "type": kind, "param": null, "code": code});
        json!({"error": error})
    };
    let invalid = |code: &str| openai("invalid_request_error", code);
    let claude = |kind: &str, details: Value| {
        let error = json!({"type": kind, "message": "x", "details": details});
        json!({"type": "error", "error": error})
    };
    let limited = |code: &str| claude("rate_limit_error", json!({"error_code": code}));
    let by_code = |code: u16, metadata: Value| {
        let error = json!({"code": code, "message": "x", "metadata": metadata});
        json!({"error": error})
    };
    let paid = json!({"type": "payment_required", "message": "Not enough credits", "details": ""});
    let no: &[(&str, &str)] = &[];
    let hate = json!({"reasons": ["hate"], "flagged_input": "…"});
    let credits = json!({"limit_source": "openrouter_credits"});
    let used_up = openai("insufficient_quota", "insufficient_quota");
    let tokens = openai("tokens", "rate_limit_exceeded");
    for (status, headers, body, expected) in [
        (400, no, invalid("context_length_exceeded"), "PROVIDER_REJECTED"),
        (400, no, invalid(""), "PROVIDER_REJECTED, alarm input: 400 invalid_request_error "),
        (400, no, invalid("content_policy_violation"), "CONTENT_REFUSED"),
        (
            401,
            no,
            invalid("invalid_api_key"),
            "PROVIDER_REJECTED, alarm account: 401 invalid_request_error invalid_api_key",
        ),
        (402, no, paid, "PROVIDER_REJECTED, alarm account: 402 payment_required"),
        (402, no, by_code(402, credits), "PROVIDER_REJECTED, alarm account: 402"),
        (
            402,
            &[("retry-after", "4")],
            json!({"error": {"code": 402, "message": "x"}}),
            "again 4000 the text model had a passing fault",
        ),
        (403, no, by_code(403, hate), "CONTENT_REFUSED"),
        (
            404,
            no,
            invalid("model_not_found"),
            "PROVIDER_REJECTED, alarm account: 404 invalid_request_error model_not_found",
        ),
        (408, no, json!({}), FAULT),
        (413, no, claude("request_too_large", Value::Null), "PROVIDER_REJECTED"),
        (429, no, openai("requests", "rate_limit_exceeded"), BUSY),
        (429, &[("retry-after", "2")], tokens.clone(), "again 2000 the text model is busy"),
        (
            429,
            &[("retry-after", "2"), ("retry-after-ms", "1500")],
            tokens.clone(),
            "again 1500 the text model is busy",
        ),
        (429, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], tokens, BUSY),
        (429, no, openai("requests", "slow_down"), "again 20000 the text model is busy"),
        (
            429,
            &[("retry-after", "9")],
            used_up,
            "PROVIDER_REJECTED, alarm account: 429 insufficient_quota insufficient_quota",
        ),
        (
            429,
            no,
            openai("billing", "credit_balance_exhausted"),
            "PROVIDER_REJECTED, alarm account: 429 billing credit_balance_exhausted",
        ),
        (
            429,
            no,
            limited("enforced_spend_limit_reached"),
            "PROVIDER_REJECTED, alarm account: 429 rate_limit_error enforced_spend_limit_reached",
        ),
        (429, no, limited("ramp_limit_exceeded"), "again 20000 the text model is busy"),
        (500, no, json!({}), FAULT),
        (503, &[("x-should-retry", "false")], json!({}), "PROVIDER_REJECTED, alarm time: 503"),
        (400, &[("x-should-retry", "true")], json!({}), FAULT),
        (529, no, claude("overloaded_error", Value::Null), BUSY),
    ] {
        assert_eq!(refused(status, headers, &body), expected, "{status} {body}");
    }
}

#[test]
fn a_refusal_in_html_is_judged_by_its_status() {
    let response = HttpResponse { status: 502, headers: Vec::new(), body: "<html>".to_owned() };
    assert!(matches!(parse_refusal(&response).value, CallError::Transient { .. }));
    // A firewall's page is not an answer to this request, so it is retried, and the attempts limit
    // the retries.
    let Parsed { value, alarm } = parse_refusal(&HttpResponse { status: 403, ..response });
    assert!(matches!(value, CallError::Transient { .. }), "{value:?}");
    assert_eq!(alarm, Some(Alarm::new(About::Place, "403 without JSON")));
}

/// The answers of servers that copy one of the APIs.
#[test]
fn servers_that_copy_an_api_are_read() {
    let parts = json!([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]);
    let in_parts = json!({"choices": [{"message": {"content": parts}, "finish_reason": "STOP"}]});
    let half = |escape: &str| chunk("HALF", Some("")).replace("HALF", escape);
    let split = half("\\ud83d") + &half("\\ude00");
    for (stream, expected) in [
        (chunk("a", Some("")) + &chunk("b", Some("stop")), "ok ab"),
        (chunk("a", Some("null")) + &chunk("", Some("eos")), "ok a"),
        (chunk("a", Some("max_tokens")), CUT),
        (chunk("a", Some("SAFETY")), "CONTENT_REFUSED"),
        (split + &chunk("", Some("stop")), "ok 😀"),
        (in_parts.to_string(), "ok a"),
    ] {
        assert_eq!(class(&read(LlmApi::OpenAi, &stream)), expected, "{stream}");
    }
}

#[test]
fn a_refusal_of_the_place_may_pass() {
    let body = json!({"error": {"code": "unsupported_country_region_territory", "message": "x",
        "type": "request_forbidden"}});
    assert_eq!(
        refused(403, &[], &body),
        "again 0 the text model cannot take this work at present, \
         alarm place: 403 request_forbidden unsupported_country_region_territory"
    );
}
