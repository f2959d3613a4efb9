//! Tests of orders of cards: their limits, and the provider requests that they become.

use super::{CardsBody, CardsInput};
use crate::cards::steps;
use crate::wrong_types::try_each;
use serde_json::{Value, json};

fn body() -> Value {
    json!({
        "productName": " Steel bottle ",
        "productImages": [{"url": "https://p.test/a.png", "type": "front"}],
        "selectedCards": [4, 0],
    })
}

fn check(change: impl FnOnce(&mut Value)) -> Result<CardsInput, String> {
    check_for("gemini-3.1-flash-image", change)
}

fn check_for(model: &str, change: impl FnOnce(&mut Value)) -> Result<CardsInput, String> {
    let mut body = body();
    change(&mut body);
    let body: CardsBody = serde_json::from_value(body).map_err(|error| error.to_string())?;
    let checked = CardsInput::check(&body, model);
    checked.map_err(|error| error.fields["field"].as_str().unwrap().to_owned())
}

/// Source: the model's page at ai.google.dev. No other model's page lists these ratios.
#[test]
fn r17_the_narrowest_ratios_are_of_one_model() {
    for ratio in ["1:4", "4:1", "1:8", "8:1"] {
        let wanted = |model: &str| check_for(model, |body| body["aspectRatio"] = json!(ratio));
        assert_eq!(wanted("gemini-3.1-flash-image").unwrap().aspect_ratio, ratio);
        assert_eq!(wanted("gemini-3-pro-image").unwrap_err(), "aspectRatio", "{ratio}");
    }
    let usual = check_for("gemini-3-pro-image", |body| body["aspectRatio"] = json!("21:9"));
    assert_eq!(usual.unwrap().aspect_ratio, "21:9");
}

#[test]
fn a_wrong_type_is_refused_in_the_callers_words() {
    let mut every = body();
    for (field, value) in [
        ("category", json!("x")),
        ("description", json!("x")),
        ("aspectRatio", json!("1:1")),
        ("jobId", json!("00000000-0000-4000-8000-0000000000a1")),
        ("sessionId", json!("x")),
        ("maxCredits", json!(7)),
    ] {
        every[field] = value;
    }
    try_each::<CardsBody>(&every);
}

#[test]
fn an_error_names_the_field_over_its_limit() {
    assert_eq!(check(|_| {}).unwrap().aspect_ratio, "3:4");
    for (field, value) in [
        ("productName", json!("  ")),
        ("productName", json!("x".repeat(201))),
        ("category", json!("x".repeat(201))),
        ("description", json!("x".repeat(2_001))),
        ("productImages", json!([])),
        ("productImages", json!(vec![json!({"url": "https://p.test/a.png"}); 6])),
        ("selectedCards", json!([])),
        ("selectedCards", json!([7])),
        ("selectedCards", json!([1, 1])),
        ("aspectRatio", json!("5:7")),
    ] {
        assert_eq!(check(|body| body[field] = value.clone()).unwrap_err(), field, "{value}");
    }
    assert!(check(|body| body["selectedCards"] = json!([0, 1, 2, 3, 4, 5, 6])).is_ok());
    assert!(check(|body| body["selectedCards"] = json!([-1])).is_err());
}

#[test]
fn each_card_becomes_one_provider_request() {
    let input = check(|body| body["description"] = json!("keeps water cold")).unwrap();
    let steps = steps(&input, &["https://p.test/a.png".to_owned()]);
    assert_eq!(steps.len(), 2);
    let text =
        |step: &Value| step["body"]["contents"][0]["parts"][1]["text"].as_str().unwrap().to_owned();
    assert!(text(&steps[0]).starts_with("Product card 4 ("), "{}", text(&steps[0]));
    assert!(text(&steps[1]).starts_with("Product card 0 ("));
    for step in &steps {
        assert!(text(step).contains("Steel bottle") && text(step).contains("keeps water cold"));
        assert_eq!(
            step["body"]["contents"][0]["parts"][0]["fileData"]["fileUri"],
            "https://p.test/a.png"
        );
    }
}
