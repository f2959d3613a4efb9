//! Tests every known shape of Replicate's answers, and what it means.

use super::*;
use crate::core::job::FailureCode;
use crate::core::provider::{About, Alarm};
use crate::core::transport::{HttpResponse, TransportError};

pub(super) const ACCOUNT: ReplicateAccount<'static> = ReplicateAccount {
    base_url: "https://api.replicate.test/v1",
    api_token: "r8_token",
    webhook_secret: None,
};
const WEBHOOK: &str = "https://f.test/provider-webhook/replicate/j/2/1/t";

pub(super) fn response(status: u16, headers: &[(&str, &str)], body: &str) -> HttpResult {
    let headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Ok(HttpResponse { status, headers, body: body.to_owned() })
}

fn submitted(status: u16, body: &str) -> Parsed<Result<Accepted, SubmitError>> {
    ACCOUNT.parse_submit(&response(status, &[], body))
}

fn queried(body: &Value) -> TaskAnswer {
    ACCOUNT.parse_query(&response(200, &[], &body.to_string())).value
}

fn details(previous_output_url: Option<&str>, run_ms: u32) -> SubmitDetails<'_> {
    SubmitDetails { webhook_url: WEBHOOK, previous_output_url, run_ms }
}

#[test]
fn a_create_has_its_webhook_its_time_limit_and_the_picture_before_it() {
    let stored =
        json!({"version": "o/n:1", "input": {"garm_img": "g"}, "previous_output_as": "human_img"});
    let request =
        ACCOUNT.build_submit(&stored, &details(Some("https://p/1.png"), 600_000)).unwrap();
    assert_eq!(
        (request.method, request.url.as_str()),
        ("POST", "https://api.replicate.test/v1/predictions")
    );
    let header = |name: &str| {
        request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(header("authorization"), Some("Bearer r8_token"));
    assert_eq!(header("cancel-after"), Some("600s"));
    let body: Value = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
    assert_eq!(
        body,
        json!({"version": "o/n:1", "input": {"garm_img": "g", "human_img": "https://p/1.png"},
            "webhook": WEBHOOK, "webhook_events_filter": ["completed"]})
    );
    assert!(
        ACCOUNT.build_submit(&stored, &details(None, 1)).is_none(),
        "the picture before it is not there"
    );
    for odd in [json!({}), json!({"version": "", "input": {}}), json!({"version": "v"}), json!([])]
    {
        assert!(ACCOUNT.build_submit(&odd, &details(None, 1)).is_none(), "{odd}");
    }
    let first = json!({"version": "v", "input": {}});
    for (run_ms, expected) in [(1, "5s"), (5_001, "6s"), (0, "5s")] {
        let request = ACCOUNT.build_submit(&first, &details(None, run_ms)).unwrap();
        assert!(
            request.headers.contains(&("cancel-after".to_owned(), expected.to_owned())),
            "{run_ms}"
        );
    }
}

#[test]
fn get_cancel_and_list_are_addresses_under_the_base() {
    assert_eq!(ACCOUNT.build_query("p1").url, "https://api.replicate.test/v1/predictions/p1");
    let cancel = ACCOUNT.build_cancel("p1");
    assert_eq!(
        (cancel.method, cancel.url.as_str()),
        ("POST", "https://api.replicate.test/v1/predictions/p1/cancel")
    );
    let list = ACCOUNT.build_list("2026-11-21T10:00:00+00:00", Some("a b&c")).unwrap();
    assert_eq!(list.method, "GET");
    assert_eq!(
        list.url,
        "https://api.replicate.test/v1/predictions\
         ?created_after=2026-11-21T10%3A00%3A00%2B00%3A00&cursor=a+b%26c"
    );
}

#[test]
fn a_sparse_new_prediction_is_accepted() {
    for status in [200, 201, 202] {
        let parsed = submitted(status, r#"{"id":"p4x","status":"starting","urls":{}}"#);
        assert_eq!(parsed, Parsed::ok(Ok(Accepted { task_id: "p4x".into(), early_failure: None })));
    }
    let early_failure = submitted(201, r#"{"id":"p4x","status":"failed","error":"no GPU"}"#)
        .value
        .unwrap()
        .early_failure
        .unwrap();
    assert_eq!(
        (early_failure.code, early_failure.text.as_str()),
        (FailureCode::ProviderFailed, "no GPU")
    );
    for body in ["", "null", "{}", r#"{"id":7}"#, r#"{"id":"../x"}"#, "<html>", r#"{"id":""}"#] {
        assert_eq!(submitted(201, body).value, Err(SubmitError::Unknown), "{body}");
    }
}

#[test]
fn only_a_proof_of_refusal_lets_a_create_be_sent_again() {
    for status in [408, 500, 502, 503, 504, 520] {
        assert_eq!(
            submitted(status, "<html>Bad gateway</html>"),
            Parsed::ok(Err(SubmitError::Unknown))
        );
    }
    let lost = ACCOUNT.parse_submit(&Err(TransportError::Unknown("reset".into())));
    assert_eq!(lost.value, Err(SubmitError::Unknown));
    let refused = ACCOUNT.parse_submit(&Err(TransportError::NotSent("refused".into())));
    assert!(matches!(refused.value, Err(SubmitError::Transient { capacity: false, .. })));
}

#[test]
fn refusals_say_whom_they_concern() {
    let cases = [
        (400, r#"{"detail":"input is odd"}"#, None, "(input is odd)"),
        (
            401,
            r#"{"title":"Unauthenticated","detail":"secret","status":401}"#,
            Some("account: http 401 Unauthenticated"),
            "",
        ),
        (
            402,
            r#"{"title":"Insufficient credit","detail":"secret"}"#,
            Some("account: http 402 Insufficient credit"),
            "",
        ),
        (402, "", Some("account: http 402"), ""),
        (403, "{}", Some("account: http 403"), ""),
        (404, r#"{"detail":"secret"}"#, Some("app: http 404"), ""),
        (
            422,
            r#"{"title":"Invalid version or not permitted","detail":"secret"}"#,
            Some("app: http 422 Invalid version or not permitted"),
            "",
        ),
        (
            422,
            r#"{"detail":"- input.garm_img is required\n"}"#,
            None,
            "(- input.garm_img is required)",
        ),
        (422, "", None, "the input"),
    ];
    for (status, body, alarm, text) in cases {
        let parsed = submitted(status, body);
        assert_eq!(
            parsed.alarm.map(|alarm| alarm.to_string()).as_deref(),
            alarm,
            "{status} {body}"
        );
        let Err(SubmitError::Rejected(failure)) = parsed.value else {
            panic!("{status} {body}: {:?}", parsed.value)
        };
        assert_eq!(failure.code, FailureCode::ProviderRejected);
        assert!(
            failure.text.contains(text) && !failure.text.contains("secret"),
            "{}",
            failure.text
        );
    }
}

type Headers<'a> = &'a [(&'a str, &'a str)];

/// A firewall's page is no answer to this request: it is retried, the attempts limit the retries,
/// and the operator gets an alarm.
#[test]
fn a_page_in_place_of_an_answer_refuses_nothing() {
    for status in [400, 401, 403, 404, 405, 422] {
        let parsed = submitted(status, "<!doctype html><title>405</title>");
        assert!(
            matches!(parsed.value, Err(SubmitError::Transient { capacity: false, .. })),
            "{status}: {:?}",
            parsed.value
        );
        assert_eq!(parsed.alarm, Some(Alarm::new(About::Place, format!("http {status}"))));
        let page = response(status, &[], "blocked");
        let cancelled = ACCOUNT.parse_cancel(&page);
        assert_eq!(cancelled, CancelAnswer::Refused, "{status}: a page cancels nothing");
    }
}

/// Sources: replicate.com/docs/reference/error-codes, and public reports of failed predictions.
#[test]
fn a_fault_of_the_provider_itself_may_pass() {
    let ended = |error: &str| queried(&json!({"status": "failed", "error": error}));
    for passing in [
        "Prediction interrupted; please retry (code: PA)",
        "Director: unexpected error handling prediction (E9828)",
        "We could not process this request, please try again. (E6716)",
        "503 Server Error: Service Unavailable for url: https://shop.example/storage/a.png",
        "400 Client Error: Bad Request for url: https://shop.example/storage/a.png",
        "<urlopen error [Errno 104] Connection reset by peer>",
    ] {
        assert!(matches!(ended(passing), TaskAnswer::Interrupted(_)), "{passing}");
    }
    for lasting in [
        "NSFW content detected. Please try again.",
        "CUDA out of memory",
        "cannot identify image file",
        "",
    ] {
        assert!(matches!(ended(lasting), TaskAnswer::Failed(_)), "{lasting}");
    }
}

#[test]
fn a_throttled_create_waits_as_long_as_it_is_told_in_whichever_way() {
    let plain = r#"{"detail":"Request was throttled. Your rate limit resets in ~30s."}"#;
    let low_credit = r#"{"status":429,"retry_after":5,
        "detail":"Request was throttled. Reduced to 6 requests per minute with a burst of 1."}"#;
    let older = r#"{"detail":"Request was throttled. Expected available in 12 seconds."}"#;
    let cases: [(Headers, &str, Option<u32>); 10] = [
        (&[], plain, Some(30_000)),
        (&[], older, Some(12_000)),
        (&[], low_credit, Some(5_000)),
        (&[], r#"{"retry_after":"2.5"}"#, Some(2_500)),
        (&[("retry-after", "7")], low_credit, Some(7_000)),
        (&[("ratelimit-reset", "9")], plain, Some(9_000)),
        (&[("ratelimit-reset", "9s")], low_credit, Some(5_000)),
        (&[("retry-after", "Sun, 22 Nov 2026 10:00:00 GMT")], plain, Some(30_000)),
        (&[("retry-after", "99999999999")], "", Some(3_600_000)),
        (&[], r#"{"detail":"Request was throttled."}"#, None),
    ];
    for (headers, body, expected) in cases {
        let parsed = ACCOUNT.parse_submit(&response(429, headers, body));
        let Err(SubmitError::Transient { retry_after_ms, capacity, .. }) = parsed.value else {
            panic!("{headers:?} {body}: {:?}", parsed.value);
        };
        assert_eq!(
            (retry_after_ms, capacity, parsed.alarm),
            (expected, true, None),
            "{headers:?} {body}"
        );
    }
}

#[test]
fn every_status_means_work_an_end_or_nothing() {
    let at = |status: &str| queried(&json!({"id": "p", "status": status, "urls": {}}));
    for going_on in ["starting", "processing", "queued", "a word of tomorrow"] {
        assert_eq!(at(going_on), TaskAnswer::Running, "{going_on}");
    }
    for over in ["failed", "canceled", "aborted"] {
        let TaskAnswer::Failed(failure) = at(over) else { panic!("{over}: {:?}", at(over)) };
        assert_eq!(failure.code, FailureCode::ProviderFailed, "{over}");
    }
    assert_eq!(at("succeeded"), TaskAnswer::Done(Vec::new()));
    assert_eq!(queried(&json!({"id": "p"})), TaskAnswer::NoAnswer);
    assert_eq!(queried(&json!({"id": "p", "status": 7})), TaskAnswer::NoAnswer);
    // In blocking mode the output may be filled early; the status decides all the same.
    assert_eq!(
        queried(&json!({"status": "processing", "output": "https://o/a.png"})),
        TaskAnswer::Running
    );
}

#[test]
fn an_output_is_a_text_a_list_an_object_or_nothing() {
    let of = |output: Value| queried(&json!({"status": "succeeded", "output": output}));
    let files = |urls: &[&str]| {
        TaskAnswer::Done(
            urls.iter()
                .map(|url| Output { url: (*url).to_owned(), kind: String::new(), node: None })
                .collect(),
        )
    };
    assert_eq!(of(json!("https://o/a.png")), files(&["https://o/a.png"]));
    assert_eq!(
        of(json!(["https://o/a.png", "https://o/b.png"])),
        files(&["https://o/a.png", "https://o/b.png"])
    );
    assert_eq!(of(json!({"image": "https://o/a.png", "seed": 7})), files(&["https://o/a.png"]));
    assert_eq!(of(json!({"images": [{"url": "https://o/a.png"}]})), files(&["https://o/a.png"]));
    for later in [json!(null), json!([]), json!({})] {
        assert_eq!(of(later.clone()), TaskAnswer::Done(Vec::new()), "{later}");
    }
    for nothing in [json!("a caption"), json!(7), json!({"seed": 7}), json!(["a caption"])] {
        let TaskAnswer::Failed(failure) = of(nothing.clone()) else { panic!("{nothing}") };
        assert_eq!(failure.code, FailureCode::ProviderFailed, "{nothing}");
    }
    let TaskAnswer::Failed(removed) =
        queried(&json!({"status": "succeeded", "output": null, "data_removed": true}))
    else {
        panic!("what was removed cannot be delivered");
    };
    assert_eq!(removed.code, FailureCode::DeliveryFailed);
}

#[test]
fn a_model_s_own_words_are_told_but_for_refused_content() {
    let failed = |error: Value| match queried(&json!({"status": "failed", "error": error})) {
        TaskAnswer::Failed(failure) => failure,
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(json!("CUDA out of memory")).text, "CUDA out of memory");
    assert_eq!(failed(json!(null)).text, "the model could not finish");
    for refused in
        ["NSFW content detected. Try another.", "The input was flagged as sensitive (E005)"]
    {
        assert_eq!(failed(json!(refused)).code, FailureCode::ContentRefused, "{refused}");
    }
    assert_eq!(failed(json!("x".repeat(5_000))).text.len(), 300);
}

#[test]
fn a_question_without_a_usable_answer_ends_nothing() {
    for (status, alarm) in [
        (404, Some("http 404")),
        (429, None),
        (500, None),
        (502, None),
        (401, Some("http 401")),
        (402, Some("http 402")),
    ] {
        let parsed = ACCOUNT.parse_query(&response(status, &[], "<html>"));
        assert_eq!(
            parsed,
            Parsed {
                value: TaskAnswer::NoAnswer,
                alarm: alarm.map(|code| Alarm::new(About::Place, code))
            },
            "{status}"
        );
    }
    assert_eq!(ACCOUNT.parse_query(&response(200, &[], "<html>")).value, TaskAnswer::NoAnswer);
    assert_eq!(
        ACCOUNT.parse_query(&Err(TransportError::Unknown("lost".into()))).value,
        TaskAnswer::NoAnswer
    );
}

#[test]
fn a_cancel_is_done_when_nothing_is_left_to_cancel() {
    let cancelled = |status| ACCOUNT.parse_cancel(&response(status, &[], "{}"));
    for status in [200, 404, 409, 422] {
        assert_eq!(cancelled(status), CancelAnswer::Accepted, "{status}");
    }
    for status in [401, 402, 429, 500] {
        assert_eq!(cancelled(status), CancelAnswer::Refused, "{status}");
    }
    let lost = ACCOUNT.parse_cancel(&Err(TransportError::Unknown("lost".into())));
    assert_eq!(lost, CancelAnswer::Refused);
}

#[test]
fn a_page_of_the_list_tells_tasks_and_where_it_goes_on() {
    let body = json!({"results": [
        {"id": "p2", "webhook": WEBHOOK, "status": "starting"}, {"id": "p1"},
        {"id": "p0", "webhook": null}, {"id": "../x", "webhook": WEBHOOK}, 7],
        "next": "https://elsewhere.test/v1/predictions?cursor=a%2Bb%3D&x=1", "previous": null});
    let page = ACCOUNT.parse_list(&response(200, &[], &body.to_string()), None).value.unwrap();
    let task = |id: &str, url: Option<&str>| ListedTask {
        task_id: id.to_owned(),
        webhook_url: url.map(str::to_owned),
    };
    assert_eq!(page.tasks, [task("p2", Some(WEBHOOK)), task("p1", None), task("p0", Some(""))]);
    let queried = response(200, &[], &json!({"id": "p1", "webhook": WEBHOOK}).to_string());
    assert_eq!(ACCOUNT.parse_webhook_url(&queried).as_deref(), Some(WEBHOOK));
    assert_eq!(ACCOUNT.parse_webhook_url(&response(500, &[], "{}")), None);
    assert_eq!(page.next.as_deref(), Some("a+b="));
    let last = ACCOUNT
        .parse_list(&response(200, &[], r#"{"results":[],"next":null}"#), None)
        .value
        .unwrap();
    assert_eq!(last, TaskPage { tasks: Vec::new(), next: None });
    for (status, body) in
        [(200, "{}"), (200, r#"{"results":[],"next":"https://x/y"}"#), (500, ""), (429, "{}")]
    {
        assert_eq!(
            ACCOUNT.parse_list(&response(status, &[], body), None).value,
            None,
            "{status} {body}"
        );
    }
    let alarm = ACCOUNT.parse_list(&response(401, &[], "{}"), None).alarm;
    assert_eq!(alarm, Some(Alarm::new(About::Account, "http 401")));
}

#[test]
fn a_webhook_names_its_prediction() {
    assert_eq!(ACCOUNT.task_id(&json!({"id": "p1", "status": "succeeded"})).as_deref(), Some("p1"));
    for odd in [json!(null), json!({}), json!({"id": 7}), json!({"id": "a/b"})] {
        assert_eq!(ACCOUNT.task_id(&odd), None, "{odd}");
    }
}
