//! Tests of the input's limits and of the provider request that it becomes.

use super::UpscalerInput;
use crate::wrong_types::try_each;
use serde_json::{Value, json};
use shared::core::provider::runninghub::apps::{ToolInput as _, stored_request};

fn check(body: Value) -> Result<UpscalerInput, String> {
    let input: UpscalerInput = serde_json::from_value(body).map_err(|error| error.to_string())?;
    input.checked().map_err(|error| error.message)
}

#[test]
fn an_error_names_the_field_over_its_limit() {
    assert!(
        check(json!({"imageUrl": "x", "resolution": 512, "detailDenoise": 1, "unknown": []}))
            .is_ok()
    );
    for (field, value) in [
        ("resolution", json!(511)),
        ("resolution", json!(8193)),
        ("detailDenoise", json!(1.01)),
        ("prompt", json!("x".repeat(2_001))),
        ("category", json!("x".repeat(201))),
    ] {
        assert!(
            check(json!({"imageUrl": "x", field: value})).unwrap_err().contains(field),
            "{field}"
        );
    }
    assert!(check(json!({"imageUrl": "x", "version": "ultra"})).is_err());
}

#[test]
fn a_wrong_type_is_refused_in_the_callers_words() {
    let every = json!({"imageUrl": "x", "resolution": 512, "detailDenoise": 1, "prompt": "x",
        "version": "pro", "category": "x", "framingMode": "x"});
    try_each::<UpscalerInput>(&every);
}

#[test]
fn a_default_equals_the_explicit_value() {
    let short = check(json!({"imageUrl": "x", "resolution": null})).unwrap();
    let long = check(json!({"version": "standard", "resolution": 2048, "imageUrl": "x"})).unwrap();
    assert_eq!(serde_json::to_string(&short).unwrap(), serde_json::to_string(&long).unwrap());
}

#[test]
fn the_version_chooses_the_app() {
    let pro = json!({"webappId": "2", "nodes": {"category": ["9", "select"]}});
    let apps = json!({UpscalerInput::TOOL: {"standard": "1", "pro": pro}});
    let request = |input: UpscalerInput| {
        stored_request(
            &apps,
            UpscalerInput::TOOL,
            input.variant(),
            &input.fields(),
            UpscalerInput::RESULT,
        )
        .unwrap()
    };
    let standard = request(check(json!({"imageUrl": "https://x/a.png"})).unwrap());
    assert_eq!(standard["path"], "/openapi/v2/run/ai-app/1");
    assert_eq!(standard["body"]["nodeInfoList"][0]["fieldValue"], "https://x/a.png");
    assert_eq!(standard["body"]["nodeInfoList"][1]["fieldValue"], "2048");
    let pro =
        request(check(json!({"imageUrl": "x", "version": "pro", "category": "people"})).unwrap());
    assert_eq!(pro["path"], "/openapi/v2/run/ai-app/2");
    assert_eq!(pro["body"]["nodeInfoList"][2]["nodeId"], "9");
}
