//! Tests the request of an RPC, and the handling of every kind of answer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::{Value, json};

use super::{Args, Db, DbError};
use crate::core::config::Config;
use crate::core::error::{ApiError, ErrorCode};
use crate::core::transport::{self, HttpRequest, HttpResponse, Transport, TransportError};
use crate::testing::unused_calls;

type RpcAnswer = Result<HttpResponse, TransportError>;

/// Gives these answers in order, and records the requests.
struct RpcScript {
    answers: RefCell<VecDeque<RpcAnswer>>,
    sent: RefCell<Vec<HttpRequest>>,
    log: RefCell<Vec<Value>>,
}

impl RpcScript {
    fn new(answers: Vec<RpcAnswer>) -> Self {
        let (sent, log) = (RefCell::default(), RefCell::default());
        Self { answers: RefCell::new(answers.into()), sent, log }
    }

    /// Calls `f` with `args`.
    fn call(&self, config: &Config, args: &Value) -> Result<Vec<Value>, DbError> {
        let db = Db { transport: self, config, request_id: "r", caller: None };
        let mut future = pin!(db.rows("f", Args::default().with_fields_of(args)));
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => unreachable!("the script never waits"),
        }
    }
}

impl Transport for RpcScript {
    async fn send(&self, request: HttpRequest) -> RpcAnswer {
        self.sent.borrow_mut().push(request);
        self.answers.borrow_mut().pop_front().unwrap()
    }

    unused_calls!(copy upload download random notify);

    fn log(&self, line: &Value) {
        self.log.borrow_mut().push(line.clone());
    }

    async fn sleep(&self, _: u32) {}

    fn now_ms(&self) -> u64 {
        0
    }
}

fn answer(status: u16, body: &str) -> RpcAnswer {
    Ok(HttpResponse { status, headers: Vec::new(), body: body.to_owned() })
}

fn config(key: &str) -> Config {
    Config {
        supabase_url: Some("https://p.test".to_owned()),
        service_role_key: Some(key.to_owned()),
        ..Config::default()
    }
}

/// Calls `f` with `args` against these answers.
fn call(
    config: &Config,
    args: &Value,
    answers: Vec<RpcAnswer>,
) -> (Result<Vec<Value>, DbError>, Vec<HttpRequest>) {
    let script = RpcScript::new(answers);
    let outcome = script.call(config, args);
    (outcome, script.sent.into_inner())
}

fn outcome(status: u16, body: &str) -> DbError {
    call(&config("k"), &json!({}), vec![answer(status, body)]).0.unwrap_err()
}

fn error(status: u16, code: &str) -> DbError {
    outcome(
        status,
        &json!({"code": code, "message": "m", "details": null, "hint": null}).to_string(),
    )
}

#[test]
fn the_request_is_an_rpc_with_our_key_and_a_time_limit() {
    let (rows, sent) = call(&config("a.b.c"), &json!({"p": 1}), vec![answer(200, "[{\"a\":1}]")]);
    assert_eq!(rows.unwrap(), [json!({"a": 1})]);
    let request = &sent[0];
    assert_eq!((request.method, request.url.as_str()), ("POST", "https://p.test/rest/v1/rpc/f"));
    assert_eq!(request.body.as_deref(), Some("{\"p\":1}"));
    assert!(request.timeout_ms > 0);
    let header = |name: &str| {
        request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(header("apikey"), Some("a.b.c"));
    assert_eq!(header("authorization"), Some("Bearer a.b.c"));
    assert_eq!(header("content-type"), Some("application/json"));
}

#[test]
fn a_secret_key_of_the_new_kind_is_no_bearer_token() {
    let (_, sent) = call(&config("sb_secret_x"), &json!({}), vec![answer(200, "[]")]);
    assert!(sent[0].headers.iter().any(|(name, value)| name == "apikey" && value == "sb_secret_x"));
    assert!(sent[0].headers.iter().all(|(name, _)| name != "authorization"));
}

#[test]
fn the_request_says_which_deployment_it_comes_from_where_that_is_set() {
    let said = |config: &Config| {
        let (_, sent) = call(config, &json!({}), vec![answer(200, "[]")]);
        let found = sent[0].headers.iter().find(|(name, _)| name == "x-unstuck-deployment");
        found.map(|(_, value)| value.clone())
    };
    assert_eq!(said(&config("k")), None);
    let named = Config { deployment_id: Some("shop".to_owned()), ..config("k") };
    assert_eq!(said(&named), Some("shop".to_owned()));
}

#[test]
fn a_refused_deployment_is_logged_and_recorded_once() {
    let refusal = json!({"code": "PT503", "message": "wrong_deployment", "details": "{}"});
    let named = Config { deployment_id: Some("shop".to_owned()), ..config("k") };
    for recorded in [answer(204, ""), answer(503, &refusal.to_string())] {
        let script = RpcScript::new(vec![answer(503, &refusal.to_string()), recorded]);
        let refused = script.call(&named, &json!({})).unwrap_err();
        assert!(refused.is(ErrorCode::WrongDeployment));
        assert_eq!(ApiError::from(refused).code.http_status(), 503);
        let sent = script.sent.borrow();
        assert_eq!(sent.len(), 2);
        assert!(sent[1].url.ends_with("/rpc/deployment_alarm_v1"), "{}", sent[1].url);
        assert!(sent[1].headers.iter().any(|(name, _)| name == "x-unstuck-deployment"));
        let log = script.log.borrow();
        assert_eq!((log.len(), &log[0]["event"]), (1, &json!("provider_alarm")));
        assert!(log[0]["cause"].as_str().unwrap().contains("\"shop\""), "{log:?}");
    }
}

#[test]
fn a_missing_variable_is_named_and_nothing_is_sent() {
    let (outcome, sent) = call(&Config::default(), &json!({}), Vec::new());
    let error = ApiError::from(outcome.unwrap_err());
    assert_eq!(error.code, ErrorCode::Misconfigured);
    assert!(error.message.contains("SUPABASE_URL"));
    assert!(sent.is_empty());
}

#[test]
fn nul_never_reaches_the_database() {
    let args = json!({"p": {"a\u{0}": ["x\u{0}y", 1, null]}, "q": "\\u0000"});
    let (_, sent) = call(&config("k"), &args, vec![answer(200, "[]")]);
    let body: Value = serde_json::from_str(sent[0].body.as_deref().unwrap()).unwrap();
    assert_eq!(body, json!({"p": {"a": ["xy", 1, null]}, "q": "\\u0000"}));
}

#[test]
fn a_refusal_carries_its_code_and_fields() {
    let body = json!({"code": "PT409", "message": "active_job_exists", "hint": null,
        "details": "{\"activeJobId\":\"j\",\"activeTool\":\"t\"}"});
    let refused = outcome(409, &body.to_string());
    assert!(refused.is(ErrorCode::ActiveJobExists));
    let error = ApiError::from(refused);
    assert_eq!(error.fields["activeTool"], "t");
    let body = json!({"code": "PT503", "message": "queue_full", "details": "{\"retry_after\":90}"});
    let error = ApiError::from(outcome(503, &body.to_string()));
    assert_eq!((error.code, error.retry_after_s), (ErrorCode::QueueFull, Some(90)));
    assert!(matches!(
        error_of("PT402", "insufficient_credits", Value::Null),
        DbError::Refused { .. }
    ));
    assert!(matches!(error_of("PT418", "nonsense", Value::Null), DbError::Bug(_)));
    assert!(matches!(
        error_of("PT402", "insufficient_credits", json!("not json")),
        DbError::Refused { .. }
    ));
}

fn error_of(code: &str, message: &str, details: Value) -> DbError {
    outcome(400, &json!({"code": code, "message": message, "details": details}).to_string())
}

#[test]
fn other_answers_are_told_apart_by_what_may_have_happened() {
    for (status, code) in [
        (500, "40001"),
        (500, "40P01"),
        (500, "55P03"),
        (500, "57014"),
        (503, "53300"),
        (404, "42883"),
    ] {
        assert!(matches!(error(status, code), DbError::Unavailable(_)), "{code}");
    }
    for (status, code) in [(503, "08006"), (503, "57P01")] {
        assert!(matches!(error(status, code), DbError::Unknown(_)), "{code}");
    }
    for (status, body) in [(502, "<html>"), (520, ""), (503, "{}"), (504, "timeout")] {
        assert!(matches!(outcome(status, body), DbError::Unknown(_)), "{status}");
    }
    for (status, code) in [(401, "42501"), (409, "23505"), (400, "22P05"), (500, "XX000")] {
        let error = error(status, code);
        assert!(matches!(error, DbError::Bug(_)), "{code}");
        assert_eq!(
            ApiError::from(error).message,
            "Internal error",
            "nothing of it reaches the caller"
        );
    }
    assert!(matches!(error(401, "PGRST301"), DbError::Config(_)));
    assert!(matches!(outcome(429, ""), DbError::Unavailable(_)));
    assert!(matches!(outcome(540, "<html>paused"), DbError::Unavailable(_)));
    assert!(matches!(error(405, "25006"), DbError::Unavailable(_)));
    assert!(matches!(outcome(403, "<html>blocked"), DbError::Unknown(_)), "a firewall's page");
    assert!(matches!(outcome(200, "not json"), DbError::Bug(_)));
}

/// Messages of Supabase's own gateway: nuxt-modules/supabase#195, supadart#185.
#[test]
fn r13_the_gateways_401_without_a_code_names_the_key_in_an_alarm_and_is_not_repeated() {
    const KEY: &str = "SUPABASE_SERVICE_ROLE_KEY";
    for (status, body, setting) in [
        (401, r#"{"message":"Invalid API key","hint":"Double check"}"#, KEY),
        (401, r#"{"message":"No API key found in request"}"#, KEY),
        (404, r#"{"message":"no Route matched with those values"}"#, "SUPABASE_URL"),
    ] {
        let script = RpcScript::new(vec![answer(status, body)]);
        let DbError::Config(error) = script.call(&config("k"), &json!({})).unwrap_err() else {
            panic!("{status} {body}")
        };
        assert!(error.message.contains(setting), "{body}: {}", error.message);
        assert_eq!(script.sent.borrow().len(), 1, "{body}: the answer would be the same");
        let log = script.log.borrow();
        assert_eq!(log[0]["event"], "provider_alarm");
        assert!(log[0]["cause"].to_string().contains(setting), "{log:?}");
    }
}

/// PostgREST's `ClientError`: the connection broke while a statement ran, which may be committed.
#[test]
fn r08_pgrst001_may_have_been_done_and_is_not_repeated() {
    let broken = answer(503, &json!({"code": "PGRST001", "message": "m"}).to_string());
    let (rows, sent) = call(&config("k"), &json!({}), vec![broken]);
    assert!(matches!(rows, Err(DbError::Unknown(_))), "{rows:?}");
    assert_eq!(sent.len(), 1);
}

#[test]
fn a_schema_that_is_not_exposed_is_named_with_what_to_do() {
    let body = json!({"code": "PGRST106", "message": "Invalid schema: unstuck", "details": null,
        "hint": "Only the following schemas are exposed: public"});
    let (outcome, sent) = call(&config("k"), &json!({}), vec![answer(406, &body.to_string())]);
    let error = ApiError::from(outcome.unwrap_err());
    assert_eq!((error.code, error.code.http_status()), (ErrorCode::Misconfigured, 500));
    for part in
        ["`unstuck`", "Exposed schemas", "pgrst.db_schemas", "notify pgrst, 'reload config'"]
    {
        assert!(error.message.contains(part), "{part}: {}", error.message);
    }
    assert!(error.internal.unwrap().contains("PGRST106"));
    assert_eq!(sent.len(), 1, "asking again changes nothing");
}

#[test]
fn a_cap_in_the_database_says_when_to_come_again() {
    let limited = |details: Value| ApiError::from(error_of("PT429", "rate_limited", details));
    assert_eq!(limited(Value::Null).retry_after_s, Some(60));
    assert_eq!(limited(json!("{\"retry_after\":7}")).retry_after_s, Some(7));
    assert_eq!(limited(Value::Null).code.http_status(), 429);
}

#[test]
fn only_what_proves_that_nothing_was_done_is_repeated_and_only_once() {
    let down = |code: &str| answer(503, &json!({"code": code, "message": "m"}).to_string());
    let refused = || Err(TransportError::NotSent("refused".to_owned()));
    let run = |answers| call(&config("k"), &json!({}), answers);
    for first in [down("PGRST000"), down("PGRST003"), down("PGRST202"), refused()] {
        let (rows, sent) = run(vec![first, answer(200, "[]")]);
        assert_eq!((rows.unwrap().len(), sent.len()), (0, 2));
        assert_eq!(sent[0], sent[1]);
    }
    let (rows, sent) = run(vec![down("PGRST002"), refused()]);
    assert!(matches!(rows, Err(DbError::Unavailable(_))));
    assert_eq!(sent.len(), 2);
    for last in [Err(TransportError::Unknown("reset".to_owned())), answer(502, ""), down("40001")] {
        let (rows, sent) = run(vec![last]);
        assert!(rows.is_err());
        assert_eq!(sent.len(), 1);
    }
}

#[test]
fn a_function_that_returns_nothing_has_no_rows() {
    let (rows, _) = call(&config("k"), &json!({}), vec![answer(204, "")]);
    assert!(rows.unwrap().is_empty());
}

#[test]
fn a_row_that_cannot_be_read_is_logged_and_leaves_the_other_rows() {
    let read = |body: &str| {
        let script = RpcScript::new(vec![answer(200, body)]);
        let config = config("k");
        let db = Db { transport: &script, config: &config, request_id: "r", caller: None };
        let mut future = pin!(db.rows::<NumberedRow>("f", Args::default()));
        let Poll::Ready(rows) = future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        else {
            unreachable!("the script never waits")
        };
        let numbers = rows.map(|rows| rows.iter().map(|row| row.number).collect::<Vec<_>>());
        (numbers, script.log.borrow().clone())
    };
    let (numbers, log) =
        read(r#"[{"number":1},{"number":-5,"job_id":"j"},{},"text",{"number":2}]"#);
    assert_eq!(numbers.unwrap(), [1, 2]);
    assert_eq!(log.len(), 3);
    assert_eq!((&log[0]["event"], &log[0]["job_id"]), (&json!("unreadable_row"), &json!("j")));
    assert!(log[0]["detail"].to_string().contains("-5"), "{log:?}");
    assert!(matches!(read("{}").0, Err(DbError::Bug(_))), "an answer without rows");
}

#[derive(serde::Deserialize)]
struct NumberedRow {
    number: u32,
}
