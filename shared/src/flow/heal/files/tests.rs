//! Tests which files a pass deletes and leaves, and where it continues, whatever storage answers.

use super::clean_up;
use crate::core::config::Config;
use crate::flow::Cx;
use crate::testing::bucket_script::{BucketScript, USER};
use futures_util::FutureExt;
use serde_json::{Value, json};

const LONG: u64 = 1_000_000;

fn pass_with(script: &BucketScript, config: &Config, until_ms: u64) {
    let cx = Cx { transport: script, config, request_id: "files", caller: None };
    clean_up(&cx, until_ms).now_or_never().expect("nothing waits");
}

/// Runs one pass and returns its reports.
fn pass(script: &BucketScript) -> Vec<Value> {
    pass_with(script, &BucketScript::config(), LONG);
    std::mem::take(&mut script.0.borrow_mut().reports)
}

fn stuck(script: &BucketScript, numbers: impl IntoIterator<Item = usize>) {
    let name = |number| format!("uploads/{USER}/{number:05}.png");
    script.0.borrow_mut().stuck.extend(numbers.into_iter().map(name));
}

#[test]
fn a_pass_deletes_the_files_of_a_page_and_says_so() {
    let script = BucketScript::new(&[("uploads", None), ("results", None)]);
    script.fill("uploads", 20);
    let expected = json!({"p_kind": "uploads", "p_deleted": 20, "p_left": 0});
    assert_eq!(
        pass(&script),
        [expected, json!({"p_kind": "results", "p_deleted": 0, "p_left": 0})]
    );
    assert_eq!(script.count("DELETE"), 1);
    assert!(script.0.borrow().files.is_empty());
}

#[test]
fn a_page_with_more_files_than_a_pass_deletes_is_where_the_next_pass_begins() {
    let script = BucketScript::new(&[("uploads", None)]);
    script.fill("uploads", 600);
    let report = pass(&script).remove(0);
    assert_eq!((&report["p_deleted"], &report["p_cursor"]), (&json!(100), &Value::Null));
    assert_eq!(script.0.borrow().files.len(), 500);
}

#[test]
fn one_file_that_storage_refuses_keeps_no_other() {
    let script = BucketScript::new(&[("uploads", None)]);
    script.fill("uploads", 100);
    stuck(&script, [37]);
    let report = pass(&script).remove(0);
    assert_eq!((&report["p_deleted"], &report["p_left"]), (&json!(99), &json!(1)));
    assert_eq!(report["p_error"], "storage answered 500 to DELETE uploads");
    assert_eq!(script.0.borrow().files.len(), 1);
    assert!(script.count("DELETE") <= 15, "{:?}", script.0.borrow().calls);
}

#[test]
fn files_that_storage_refuses_keep_none_on_the_pages_behind_them() {
    let script = BucketScript::new(&[("uploads", None)]);
    script.fill("uploads", 501);
    stuck(&script, 0..500);
    let report = pass(&script).remove(0);
    script.0.borrow_mut().due[0]["cursor"] = report["p_cursor"].clone();
    pass(&script);
    assert_eq!(script.0.borrow().files.len(), 500);
}

#[test]
fn a_file_that_storage_keeps_without_a_word_is_not_counted_as_deleted() {
    let script = BucketScript::new(&[("erased", None)]);
    script.fill("uploads", 3);
    script.0.borrow_mut().kept.insert(format!("uploads/{USER}/00001.png"));
    let report = pass(&script).remove(0);
    assert_eq!((&report["p_deleted"], &report["p_left"]), (&json!(2), &json!(1)));
}

#[test]
fn an_outage_loses_no_cursor() {
    for (call, fault) in [
        ("POST list-v2/uploads", 0),
        ("POST list-v2/uploads", 500),
        ("POST list-v2/uploads", 503),
        ("POST list-v2/uploads", 429),
        ("POST list-v2/uploads", 403),
        ("POST list-v2/uploads", 404),
        ("DELETE uploads", 0),
        ("DELETE uploads", 503),
        ("DELETE uploads", 544),
        ("DELETE uploads", 429),
    ] {
        let script = BucketScript::new(&[("uploads", Some("0")), ("results", None)]);
        script.fill("uploads", 50);
        script.0.borrow_mut().faults.insert(call, fault);
        let reports = pass(&script);
        assert_eq!(reports[0]["p_cursor"], "0", "{call} {fault}");
        assert_eq!(reports[0]["p_deleted"], 0);
        assert!(reports[0]["p_error"].as_str().unwrap().starts_with("storage"), "{reports:?}");
        assert_eq!(reports[1]["p_kind"], "results", "the other kind goes on");
        assert!(script.count("DELETE") <= 1, "nothing is halved in an outage");
    }
}

#[test]
fn a_listing_that_storage_refuses_for_its_cursor_begins_the_walk_anew() {
    let script = BucketScript::new(&[("uploads", Some("0"))]);
    script.0.borrow_mut().faults.insert("POST list-v2/uploads", 400);
    let report = pass(&script).remove(0);
    assert_eq!(report["p_cursor"], Value::Null);
    assert_eq!(report["p_error"], "storage answered 400 to POST list-v2/uploads");
}

#[test]
fn where_storage_refuses_every_file_the_subrequests_are_bounded() {
    let script = BucketScript::new(&[("uploads", None), ("results", None)]);
    script.fill("uploads", 100);
    script.fill("results", 5);
    stuck(&script, 0..100);
    let config = Config { subrequest_budget: Some(50), ..BucketScript::config() };
    pass_with(&script, &config, LONG);
    let state = script.0.borrow();
    assert!(state.calls.len() <= 25, "half of the budget: {:?}", state.calls);
    assert_eq!(state.reports[0]["p_deleted"], 0);
    assert_eq!(state.reports[1]["p_deleted"], 5, "the other kind has its share");
}

#[test]
fn no_call_begins_once_the_time_is_over() {
    let script = BucketScript::new(&[("uploads", None), ("results", Some("0"))]);
    script.fill("uploads", 10);
    script.fill("results", 10);
    script.0.borrow_mut().call_ms = 100;
    pass_with(&script, &BucketScript::config(), 650);
    {
        let state = script.0.borrow();
        assert_eq!(state.calls.last().map(String::as_str), Some("files_deleted_v1"));
        assert_eq!(state.files.len(), 10, "no time was left for the results: {:?}", state.calls);
        assert_eq!(state.reports[1]["p_cursor"], "0", "they are the next pass's");
    }
    let late = BucketScript::new(&[("uploads", None)]);
    pass_with(&late, &BucketScript::config(), 0);
    assert_eq!(late.count(""), 0);
}

#[test]
fn of_an_erased_user_every_file_that_is_there_counts_as_left() {
    let script = BucketScript::new(&[("erased", None)]);
    script.fill("uploads", 120);
    script.fill("results", 510);
    let report = pass(&script).remove(0);
    // 20 uploads, 400 results on the first page, and one for the page that was not listed.
    assert_eq!((&report["p_deleted"], &report["p_left"]), (&json!(200), &json!(421)));

    script.0.borrow_mut().is_held = true;
    let report = pass(&script).remove(0);
    assert_eq!((&report["p_deleted"], &report["p_left"]), (&json!(0), &json!(430)), "held");

    let empty = BucketScript::new(&[("erased", None)]);
    assert_eq!(pass(&empty)[0]["p_left"], 0);
}

#[test]
fn of_an_erased_user_a_bucket_that_cannot_be_listed_keeps_none_in_the_other() {
    let script = BucketScript::new(&[("erased", None)]);
    script.fill("results", 3);
    script.0.borrow_mut().faults.insert("POST list-v2/uploads", 503);
    let report = pass(&script).remove(0);
    assert_eq!(report["p_deleted"], 3);
    assert_eq!(report["p_error"], "storage answered 503 to POST list-v2/uploads");
}
