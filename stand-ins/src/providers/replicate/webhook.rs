//! Sends the webhook of a finished prediction. Its body is the prediction, signed by Standard
//! Webhooks.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::predictions::{Prediction, PredictionState};
use super::{NAME, ReplicateShared, WEBHOOK_SECRET};
use crate::clock;
use crate::providers::script::SignatureFault;
use crate::providers::webhook_delivery::WebhookDelivery;

/// Replicate does not document whether it sends a webhook for `aborted`, so none is sent, and
/// nothing can rely on one.
pub(super) async fn send(hub: Arc<ReplicateShared>, prediction: Prediction) {
    let told = prediction.state.is_over() && prediction.state != PredictionState::Aborted;
    let Some(own) = prediction.order.webhook.clone().filter(|_| told) else {
        return;
    };
    if !prediction.order.events.iter().any(|event| event == "completed") {
        return;
    }
    let body = prediction.shown(&hub.files);
    let delivery = WebhookDelivery {
        client: &hub.client,
        log: &hub.log,
        provider: NAME,
        task_id: prediction.id.clone(),
        headers: headers(prediction.behaviour.signature, &body.to_string()),
        body,
    };
    delivery
        .send(prediction.behaviour.webhook, &own, hub.predictions.other_webhook(&prediction.id))
        .await;
}

/// The headers of a webhook. The id stays the same in all its deliveries.
fn headers(fault: Option<SignatureFault>, body: &str) -> Vec<(&'static str, String)> {
    let id = format!("msg_{}", clock::random_hex());
    let sent_s = match fault {
        Some(SignatureFault::Old) => clock::now_s() - 3_600,
        _ => clock::now_s(),
    };
    let right = signature(&id, sent_s, body);
    let wrong = signature(&id, sent_s + 1, body);
    let entries = match fault {
        Some(SignatureFault::None) => return Vec::new(),
        Some(SignatureFault::Wrong) => wrong,
        Some(SignatureFault::Two) => format!("{wrong} {right}"),
        Some(SignatureFault::Old) | None => right,
    };
    vec![
        ("webhook-id", id),
        ("webhook-timestamp", sent_s.to_string()),
        ("webhook-signature", entries),
    ]
}

fn signature(id: &str, sent_s: u64, body: &str) -> String {
    let key =
        STANDARD.decode(WEBHOOK_SECRET.trim_start_matches("whsec_")).expect("the secret is base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{sent_s}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}
