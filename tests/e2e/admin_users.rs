//! `admin-users`: what a caller may expect of it.

use serde_json::json;
use unstuck_tests::e2e;

#[test]
fn a_caller_without_a_token_is_refused() {
    e2e::run(async |world| {
        let call = world.call("admin-users").json(&json!({}));
        call.refused(401, "unauthorized").await;
    });
}
