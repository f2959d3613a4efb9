//! Limits of the input, and the provider request it becomes.

use super::{Body, Input};
use serde_json::{Value, json};

fn check(body: Value) -> Result<Input, String> {
    let body: Body = serde_json::from_value(body).map_err(|error| error.to_string())?;
    Input::check(&body).map_err(|error| error.message)
}

#[test]
fn limits_name_their_field() {
    assert!(check(json!({"imageUrl": "x", "resolution": 512, "detailDenoise": 1, "unknown": []})).is_ok());
    for (field, value) in [
        ("resolution", json!(511)),
        ("resolution", json!(8193)),
        ("detailDenoise", json!(1.01)),
        ("prompt", json!("x".repeat(2_001))),
        ("category", json!("x".repeat(201))),
        ("sessionId", json!("x".repeat(201))),
    ] {
        assert!(check(json!({"imageUrl": "x", field: value})).unwrap_err().contains(field), "{field}");
    }
    assert!(check(json!({"imageUrl": "x", "version": "ultra"})).is_err());
}

#[test]
fn the_version_picks_the_app() {
    let apps = json!({"t": {"standard": "1", "pro": {"webappId": "2", "nodes": {"category": ["9", "select"]}}}});
    let urls = ["https://x/a.png".to_owned()];
    let standard = check(json!({"imageUrl": "x"})).unwrap().provider_request(&apps, "t", &urls).unwrap();
    assert_eq!(standard["path"], "/openapi/v2/run/ai-app/1");
    assert_eq!(standard["body"]["nodeInfoList"][0]["fieldValue"], "https://x/a.png");
    assert_eq!(standard["body"]["nodeInfoList"][1]["fieldValue"], "2048");
    let pro = check(json!({"imageUrl": "x", "version": "pro", "category": "people"})).unwrap();
    let pro = pro.provider_request(&apps, "t", &urls).unwrap();
    assert_eq!(pro["path"], "/openapi/v2/run/ai-app/2");
    assert_eq!(pro["body"]["nodeInfoList"][2]["nodeId"], "9");
}
