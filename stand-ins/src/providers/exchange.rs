//! One exchange with a provider, with what all providers share: scripted statuses, delays and lost
//! answers. A provider only gets the requests that it answers itself.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};

use super::Stand;
use super::provider::{Arrival, ProviderAnswer};
use super::script::{Behaviour, Subject};
use crate::serve::DropConnection;

const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) async fn exchange(State(stand): State<Stand>, request: Request) -> Response {
    let Some(arrival) = arrive(request).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let name = arrival.path.split(['/', '?']).nth(1).unwrap_or_default();
    let Some(provider) = stand.providers.iter().find(|provider| provider.name() == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let concern = provider.concern(&arrival);
    let subject = Subject {
        is_submit: concern.is_submit,
        text: arrival.rule_text(),
        submit_text: concern.submit_text,
    };
    let behaviour = stand.script.take(provider.name(), &subject);
    let method = arrival.method.as_str();
    let number =
        stand.log.begin(provider.name(), method, &arrival.path, &arrival.text(), concern.task_id);
    let answer = match scripted(&behaviour) {
        Some(answer) => answer,
        None => provider.answer(&arrival, &behaviour).await,
    };
    if let Some(delay) = behaviour.delay_ms {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    if behaviour.lost_answer {
        stand.log.finish(number, None, "", answer.task_id);
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(DropConnection);
        return response;
    }
    stand.log.finish(number, Some(answer.status), &answer.body, answer.task_id);
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = answer.chunks.map_or_else(|| Body::from(answer.body), |chunks| chunks.into_body());
    let mut response =
        (status, [(header::CONTENT_TYPE, answer.content_type)], body).into_response();
    let own = answer.header.map(|(name, value)| (name.to_owned(), value));
    for (name, value) in own.into_iter().chain(behaviour.headers.into_iter().flatten()) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn arrive(request: Request) -> Option<Arrival> {
    let (parts, body) = request.into_parts();
    let bytes = Limited::new(body, BODY_BYTES_MAX).collect().await.ok()?.to_bytes();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    Some(Arrival { method: parts.method, path, headers: parts.headers, bytes })
}

/// The answer of the script, if it has a status or a body: it replaces the provider's own, and the
/// provider does nothing. With a `code` the provider words the refusal, and the status belongs to
/// its shape.
fn scripted(behaviour: &Behaviour) -> Option<ProviderAnswer> {
    if behaviour.code.is_some() || (behaviour.status.is_none() && behaviour.body.is_none()) {
        return None;
    }
    let status = behaviour.status.unwrap_or(200);
    let answer = match &behaviour.body {
        None => {
            let reason =
                StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
            ProviderAnswer::json(status, &json!({"message": reason.unwrap_or("scripted")}))
        }
        Some(Value::String(text)) => ProviderAnswer::text(status, text.clone()),
        Some(body) => ProviderAnswer::json(status, body),
    };
    Some(answer)
}
