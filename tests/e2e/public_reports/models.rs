//! What text models and the servers in front of them send.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use unstuck_tests::e2e;
use unstuck_tests::e2e::cards::PLACED;
use unstuck_tests::e2e::website::{self, Website, content};

/// A stream of these chunks, as an OpenAI-compatible server sends it.
fn stream(chunks: &[String]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
}

#[test]
fn c11_an_empty_finish_reason_in_each_piece_ends_nothing() {
    e2e::run(async |world| {
        let site = json!({ "files": [{ "path": "index.html", "content": "<h1>x</h1>" }] });
        let site = site.to_string();
        let (first, second) = site.split_at(20);
        let chunk = |text: &str, end: &str| {
            json!({ "choices": [{ "index": 0, "delta": { "content": text },
                "finish_reason": end }] })
            .to_string()
        };
        let body = stream(&[chunk(first, ""), chunk(second, ""), chunk("", "stop")]);
        let word = "a page in pieces";
        let rule = json!({ "match": word, "status": 200, "body": body,
            "headers": { "content-type": "text/event-stream" } });
        world.script(json!({ "llm": rule })).await;
        Website::order(world, word).await.assert_completed(world, 0).await;
        assert_eq!(Website::asked(world, word).await.len(), 1, "one call is enough");
    });
}

#[test]
fn c15_a_character_whose_halves_come_in_two_events_is_whole() {
    e2e::run(async |world| {
        let chunk = |text: &str, end: &str| {
            let delta = format!(r#"{{"content":"{text}"}}"#);
            format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":{end}}}]}}"#)
        };
        let begin = r#"{\"files\":[{\"path\":\"index.html\",\"content\":\"grow \ud83c"#;
        let body = stream(&[
            chunk(begin, "null"),
            chunk(r#"\udf31 here\"}]}"#, "null"),
            chunk("", "\"stop\""),
        ]);
        let word = "a page with a plant";
        let rule = json!({ "match": word, "status": 200, "body": body,
            "headers": { "content-type": "text/event-stream" } });
        world.script(json!({ "llm": rule })).await;
        let seen = Website::order(world, word).await.assert_completed(world, 0).await;
        assert_eq!(content(&seen, "index.html"), "grow 🌱 here");
        assert_eq!(Website::asked(world, word).await.len(), 1, "one call is enough");
    });
}

/// A model that reasons sends nothing while it thinks, for more than a minute; in this test the
/// limit and the silence are shorter. Measured in BerriAI/litellm#36992.
#[test]
fn r06_a_model_may_be_silent_as_long_as_the_setting_says() {
    e2e::run(async |world| {
        let shipped = include_str!("../../../wrangler.toml");
        let values: Vec<u32> = shipped
            .lines()
            .filter_map(|line| line.strip_prefix("LLM_STALL_MS = "))
            .map(|value| value.trim_matches('"').parse().expect("a number"))
            .collect();
        let is_long = |milliseconds: &u32| *milliseconds >= 180_000;
        assert!(!values.is_empty() && values.iter().all(is_long), "{values:?}");
        let limit = [("LLM_STALL_MS".to_owned(), Some("6000".to_owned()))];
        world.restart_workers([(PLACED.to_owned(), limit.into())].into()).await;
        let patient = "a thought of two seconds";
        world.script(json!({ "llm": { "match": patient, "delay_ms": 1_800 } })).await;
        Website::order(world, patient).await.assert_completed(world, 0).await;
        assert_eq!(Website::asked(world, patient).await.len(), 1);
        let silent = "a thought without an end";
        let rule = json!({ "match": silent, "times": 1, "delay_ms": 20_000 });
        world.script(json!({ "llm": rule })).await;
        let made = Website::order(world, silent).await;
        made.until(world, "completed").await;
        assert_eq!(Website::asked(world, silent).await.len(), 2, "the silent call was cut off");
        assert_eq!(world.balance(&made.user).await, website::CREDITS - website::PRICE);
    });
}

#[test]
fn r15_a_model_with_less_output_and_no_schema_is_asked_for_what_it_can() {
    e2e::run(async |world| {
        let refusal = |message: &str| {
            json!({ "error": { "type": "invalid_request_error", "code": null,
                "message": message } })
        };
        let word = "a small model";
        let too_many = "max_tokens is too large: 32000. This model supports at most 16384";
        let no_form = "response_format.json_schema is not supported by this model";
        world
            .script(json!({ "llm": [
                { "match": "\"max_completion_tokens\":32000", "status": 400,
                    "body": refusal(too_many) },
                { "match": "json_schema", "status": 400, "body": refusal(no_form) },
            ] }))
            .await;
        let made = Website::order(world, word).await;
        made.assert_completed(world, 0).await;
        let asked = Website::asked(world, word).await;
        let last: &Value = asked.last().expect("a call");
        assert!(last["body"]["max_completion_tokens"].as_u64() <= Some(16_384), "{last}");
        let bodies: BTreeSet<String> = asked.iter().map(|call| call["body"].to_string()).collect();
        assert_eq!(bodies.len(), asked.len(), "no request is sent twice");
        assert_eq!(world.balance(&made.user).await, website::CREDITS - website::PRICE);
    });
}
