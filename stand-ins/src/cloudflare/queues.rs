//! Queues. At most one Worker consumes a queue.

use serde_json::{Value, json};

use super::account::{CloudState, StoredConsumer, StoredQueue};
use super::answer::{CloudAnswer, missing, refused};
use super::routes::CloudCall;

/// The settings of a consumer and their ranges.
const RANGES: [(&str, u64, u64); 3] =
    [("batch_size", 1, 100), ("max_retries", 0, 100), ("max_wait_time_ms", 0, 60_000)];

pub(super) fn list(state: &CloudState, call: &CloudCall) -> Value {
    let wanted: Vec<&String> =
        call.query.iter().filter(|(name, _)| name == "name").map(|(_, value)| value).collect();
    let is_first = call.asked("page").is_none_or(|page| page == "1");
    let queues = state
        .queues
        .iter()
        .filter(|(name, _)| is_first && (wanted.is_empty() || wanted.contains(name)));
    let shown = queues.map(|(name, queue)| {
        let consumers = queue.consumer.iter().map(|consumer| {
            json!({
                "consumer_id": consumer.id,
                "type": "worker",
                "script": consumer.script,
                "queue_name": name,
                "settings": consumer.settings,
            })
        });
        json!({
            "queue_id": queue.id,
            "queue_name": name,
            "consumers": consumers.collect::<Vec<_>>(),
            "producers": [],
        })
    });
    Value::Array(shown.collect())
}

pub(super) fn make(state: &mut CloudState, body: &Value) -> CloudAnswer {
    let name = body["queue_name"].as_str().unwrap_or_default();
    let plain =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
        return Err(refused(11003, "Queue name is not valid."));
    }
    if state.queues.contains_key(name) {
        return Err(refused(11009, "Queue name is already taken."));
    }
    let id = state.new_id().replace('-', "");
    state.queues.insert(name.to_owned(), StoredQueue { id: id.clone(), consumer: None });
    Ok(json!({ "queue_id": id, "queue_name": name }))
}

pub(super) fn consume(
    state: &mut CloudState,
    id: &str,
    consumer: Option<&str>,
    body: &Value,
) -> CloudAnswer {
    let script = body["script_name"].as_str().unwrap_or_default().to_owned();
    if body["type"] != "worker" || !state.scripts.contains_key(&script) {
        return Err(refused(11002, format!("the consumer {script} is no Worker.")));
    }
    for (name, least, most) in RANGES {
        let value = &body["settings"][name];
        let fits = value.as_u64().is_some_and(|value| (least..=most).contains(&value));
        if !value.is_null() && !fits {
            return Err(refused(10023, format!("{name} is not between {least} and {most}.")));
        }
    }
    let fresh = state.new_id().replace('-', "");
    let queue = state.queues.values_mut().find(|queue| queue.id == id);
    let queue = queue.ok_or_else(|| missing(11000, "Queue does not exist."))?;
    let id = match (&queue.consumer, consumer) {
        (None, None) => fresh,
        (Some(known), Some(id)) if known.id == id && known.script == script => id.to_owned(),
        (Some(_), None) => return Err(refused(11004, "Queue already has a consumer.")),
        _ => return Err(missing(11001, "Consumer does not exist.")),
    };
    let settings = body["settings"].clone();
    queue.consumer = Some(StoredConsumer { id: id.clone(), script, settings });
    Ok(json!({ "consumer_id": id }))
}

pub(super) fn leave(state: &mut CloudState, id: &str, consumer: &str) -> CloudAnswer {
    let queue = state.queues.values_mut().find(|queue| queue.id == id);
    let queue = queue.ok_or_else(|| missing(11000, "Queue does not exist."))?;
    match queue.consumer.take_if(|known| known.id == consumer) {
        Some(_) => Ok(Value::Null),
        None => Err(missing(11001, "Consumer does not exist.")),
    }
}
