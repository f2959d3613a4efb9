//! `send` of `bridge.js` in workerd: a request that was certainly not sent may be repeated for
//! free, so no other may be told as such.

use serde_json::Value;
use unstuck_tests::assert_has;

use crate::client_package::node;

#[test]
fn a_request_that_cannot_be_sent_is_told_from_one_whose_answer_is_lost() {
    let output = node("tests/repo/bridge.mjs", &[]);
    let seen: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_has!(seen, {
        "noUrl": { "text": "!Invalid URL: nowhere" },
        "noHeader": { "text": "!Invalid header name." },
        "noValue": { "text": "!Invalid header value." },
        "nobody": { "lost": "Error" },
        "moved": { "text": "302\n\n\n\n\n" },
        "answered": { "text": "200\ntext/plain\n7\n\n\nPOST b x y\n" },
    });
}
