//! Tests which items of Replicate's list must be queried, because they may be ours.

use super::tests::{ACCOUNT, response};
use crate::core::provider::Asynchronous as _;
use serde_json::{Value, json};

#[test]
fn a_listed_prediction_with_another_input_needs_no_query() {
    let stored = json!({"version": "shop/all", "previous_output_as": "human_img",
        "input": {"garm_img": "https://u/1.png", "garment_des": "red", "category": "dresses"}});
    let listed = |input: Value| {
        let body = json!({"results": [{"id": "p1", "input": input}]}).to_string();
        let page = ACCOUNT.parse_list(&response(200, &[], &body), Some(&stored)).value;
        page.unwrap().tasks.remove(0).webhook_url
    };
    let ours = json!({"garm_img": "https://u/1.png", "human_img": "https://u/2.png"});
    assert_eq!(listed(ours), None, "its webhook says whether it is this run's");
    assert_eq!(listed(json!({"garm_img": "https://u/3.png"})).as_deref(), Some(""));
    assert_eq!(listed(json!({"text": "a stranger's"})).as_deref(), Some(""));
    assert_eq!(listed(json!({})), None, "a removed input says nothing");
}
