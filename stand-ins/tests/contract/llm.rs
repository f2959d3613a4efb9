//! The text models' contract: what each API takes and refuses, and the streams it answers with,
//! broken ones included.

use std::time::Duration;

use crate::running::{Running, start};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["files"],
        "additionalProperties": false,
        "properties": {"files": {"type": "array", "items": {"type": "string"}}},
    })
}

fn chat() -> Value {
    json!({
        "model": "m", "stream": true, "max_completion_tokens": 100,
        "messages": [
            {"role": "system", "content": "`index.html`"},
            {"role": "user", "content": "The website:\na shop"},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "files", "strict": true, "schema": schema()},
        },
    })
}

fn message() -> Value {
    json!({
        "model": "m", "stream": true, "max_tokens": 100, "system": "`index.html`",
        "messages": [{"role": "user", "content": "The website:\na shop"}],
        "output_config": {"format": {"type": "json_schema", "schema": schema()}},
    })
}

async fn post(running: &Running, path: &str, body: &Value) -> reqwest::Response {
    let request = running.client.post(format!("{}/llm{path}", running.providers)).json(body);
    let request = match path {
        CHAT => request.bearer_auth("llm-local-key"),
        _ => request.header("x-api-key", "llm-local-key").header("anthropic-version", "2026-10-21"),
    };
    request.send().await.unwrap()
}

/// The text that a stream brought, and its last event.
async fn streamed(running: &Running, path: &str, body: &Value) -> (String, Value) {
    let answer = post(running, path, body).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    // Half a character is no text of Rust's, so halves stay escaped until they are joined.
    let stream = answer.text().await.unwrap().replace("\\ud", "\\\\ud");
    let events: Vec<Value> = stream
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect();
    let piece = |event: &Value| {
        let text = if path == CHAT {
            &event["choices"][0]["delta"]["content"]
        } else {
            &event["delta"]["text"]
        };
        text.as_str().map(str::to_owned)
    };
    let text: String = events.iter().filter_map(piece).collect();
    (text.replace("\\ud83c\\udf31", "🌱"), events.last().cloned().unwrap_or_default())
}

#[tokio::test]
async fn each_api_streams_a_site() {
    let running = start(json!({})).await;
    for (path, body) in [(CHAT, chat()), (MESSAGES, message())] {
        let (text, last) = streamed(&running, path, &body).await;
        let site: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(site["files"][0]["path"], "index.html");
        assert!(site["files"][0]["content"].as_str().unwrap().contains("<h1>a shop</h1>"));
        let ended = if path == CHAT {
            last["choices"][0]["finish_reason"] == "stop"
        } else {
            last["type"] == "message_stop"
        };
        assert!(ended, "{last}");
        let mut whole = body.clone();
        whole["stream"] = false.into();
        let answer: Value = post(&running, path, &whole).await.json().await.unwrap();
        assert!(answer.to_string().contains("index.html"), "{answer}");
    }
}

#[tokio::test]
async fn what_the_contract_does_not_name_is_refused() {
    let running = start(json!({})).await;
    let changed = |body: &Value, name: &str, value: Value| {
        let mut body = body.clone();
        match value {
            Value::Null => drop(body.as_object_mut().unwrap().remove(name)),
            value => body[name] = value,
        }
        body
    };
    let (chat, message) = (chat(), message());
    let schema = json!({"type": "object", "properties": {}});
    let loose = json!({
        "type": "json_schema",
        "json_schema": {"name": "a", "strict": true, "schema": schema},
    });
    for (path, body, status) in [
        (CHAT, changed(&chat, "prompt", json!("x")), 400),
        (CHAT, changed(&chat, "model", Value::Null), 400),
        (CHAT, changed(&chat, "model", json!("retired-1")), 404),
        (CHAT, changed(&chat, "max_tokens", json!(9)), 400),
        (CHAT, changed(&chat, "messages", json!([])), 400),
        (CHAT, changed(&chat, "messages", json!([{"role": "robot", "content": "x"}])), 400),
        (CHAT, changed(&chat, "response_format", loose), 400),
        (MESSAGES, changed(&message, "max_tokens", Value::Null), 400),
        (MESSAGES, changed(&message, "temperature", json!(1)), 400),
        (MESSAGES, changed(&message, "response_format", json!({})), 400),
        (MESSAGES, changed(&message, "messages", json!([{"role": "system", "content": "x"}])), 400),
    ] {
        let answer = post(&running, path, &body).await;
        let found = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert_eq!(found, status, "{body} {text}");
        assert!(text.contains("\"error\""), "{text}");
    }
    let keyless = running
        .client
        .post(format!("{}/llm{CHAT}", running.providers))
        .json(&chat)
        .send()
        .await
        .unwrap();
    assert_eq!(keyless.status(), 401);
}

#[tokio::test]
async fn streams_break_as_they_were_told_to() {
    let running = start(json!({})).await;
    let script = async |mut more: Value| {
        more["all"] = json!(true);
        running.script(json!({"reset": true})).await;
        running.script(json!({ "llm": more })).await;
    };
    script(json!({"stop_after": 4})).await;
    let (text, last) = streamed(&running, CHAT, &chat()).await;
    assert!(serde_json::from_str::<Value>(&text).is_err(), "{text}");
    assert_eq!(last["choices"][0]["finish_reason"], "");
    script(json!({"fail": "broke", "code": 502})).await;
    assert_eq!(
        streamed(&running, CHAT, &chat()).await.1["error"],
        json!({"code": 502, "message": "broke"})
    );
    script(json!({"fail": "busy", "code": 529})).await;
    assert_eq!(
        streamed(&running, MESSAGES, &message()).await.1["error"]["type"],
        "overloaded_error"
    );
    script(json!({"finish_reason": "max_tokens"})).await;
    assert!(
        serde_json::from_str::<Value>(&streamed(&running, MESSAGES, &message()).await.0).is_err()
    );
    script(json!({"text": "no site"})).await;
    assert_eq!(streamed(&running, CHAT, &chat()).await.0, "no site");
    script(json!({"status": 429, "headers": {"retry-after": "7"}})).await;
    let answer = post(&running, CHAT, &chat()).await;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()),
        (429, "7")
    );
}

#[tokio::test]
async fn a_stream_hangs_until_the_script_is_reset() {
    let running = start(json!({})).await;
    running.script(json!({"llm": {"all": true, "hang": true}})).await;
    let answer = post(&running, CHAT, &chat()).await;
    let reading = tokio::spawn(answer.text());
    tokio::time::timeout(Duration::from_millis(300), async {
        while !reading.is_finished() {
            tokio::task::yield_now().await
        }
    })
    .await
    .expect_err("it hangs");
    running.script(json!({"reset": true})).await;
    let text =
        tokio::time::timeout(Duration::from_secs(10), reading).await.unwrap().unwrap().unwrap();
    assert!(text.contains("chat.completion.chunk") && !text.contains("[DONE]"));
}

#[tokio::test]
async fn a_stream_thinks_first_cuts_characters_and_names_an_empty_reason() {
    let running = start(json!({})).await;
    for (path, body) in [(CHAT, chat()), (MESSAGES, message())] {
        let began = tokio::time::Instant::now();
        let answer = post(&running, path, &body).await;
        let silence = began.elapsed();
        assert!(silence >= Duration::from_millis(400), "{path}: {silence:?} before the first byte");
        let stream = answer.text().await.unwrap();
        let place = |text: &str| stream.find(text).unwrap_or_else(|| panic!("no {text}: {stream}"));
        let (first, second) = (place("\\ud83c"), place("\\udf31"));
        assert!(place("The page wants") < first, "{path}: it thinks first");
        assert!(stream[first..second].contains("data: "), "{path}: halves come in two events");
        assert_eq!(stream.contains("\"finish_reason\":\"\""), path == CHAT);
    }
}
