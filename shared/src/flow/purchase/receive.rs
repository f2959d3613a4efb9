//! Records a seller's event. A seller delivers an event until the answer is 2xx. So a fault that a
//! repeated delivery may correct is answered 5xx; any other fault is logged and answered 200.

use crate::core::config::Config;
use crate::core::error::{ApiError, ErrorCode};
use crate::core::json;
use crate::core::seller::stripe::{Reader, api, signature};
use crate::core::seller::{NOT_KNOWN_AS_OURS, PurchaseFact, SellerEvent, generic, stripe};
use crate::core::standard_webhooks;
use crate::core::transport::Transport;
use crate::core::webhook::Signature;
use crate::db::DbError;
use crate::db::purchase::RecordedPurchase;
use crate::flow::Cx;
use serde_json::{Value, json};

const NOTHING: RecordedPurchase =
    RecordedPurchase { granted: 0, taken: 0, replayed: false, reason: None };

/// Verifies an event of `seller` and records its facts. Refuses a bad signature with 401 before it
/// reads the event, and an unknown seller with 404.
pub async fn receive<T: Transport>(
    cx: &Cx<'_, T>,
    seller: &str,
    headers: &Signature,
    raw: &str,
) -> Result<RecordedPurchase, ApiError> {
    if !is_authentic(cx.config, seller, headers, raw, cx.transport.now_ms() / 1_000)? {
        return Err(ApiError::unauthorized());
    }
    let event = json::lenient(raw).filter(Value::is_object);
    let event = event.ok_or_else(|| ApiError::bad_request("The body is not a JSON object"))?;
    match understood(cx, seller, &event).await? {
        Ok(fact) => record(cx, seller, &event, &fact).await,
        Err(UngrantedEvent::Ignored(reason)) => {
            cx.log("purchase_ignored", named(seller, &event, json!({"reason": reason})));
            Ok(NOTHING)
        }
        Err(UngrantedEvent::Lost(reason)) => {
            let error = ApiError::internal("a payment of which nobody knows what it grants");
            let detail = named(seller, &event, json!({"reason": reason}));
            cx.log_error("purchase_refused", &error, detail);
            Ok(NOTHING)
        }
    }
}

fn is_authentic(
    config: &Config,
    seller: &str,
    headers: &Signature,
    raw: &str,
    now_s: u64,
) -> Result<bool, ApiError> {
    let (secrets, setting) = match seller {
        stripe::NAME => (&config.purchase_stripe_secrets, "PURCHASE_STRIPE_SECRETS"),
        generic::NAME => (&config.purchase_generic_secrets, "PURCHASE_GENERIC_SECRETS"),
        _ => return Err(ApiError::not_found()),
    };
    if secrets.is_empty() {
        return Err(ApiError::misconfigured(setting));
    }
    if seller == stripe::NAME {
        return Ok(signature::verify(secrets, &headers.stripe, raw, now_s));
    }
    let mut is_good = false;
    for secret in secrets {
        let verified = standard_webhooks::verify(secret, headers, raw, now_s);
        is_good |= verified.ok_or_else(|| ApiError::misconfigured(setting))?;
    }
    Ok(is_good)
}

/// An event without a fact, with the reason.
enum UngrantedEvent {
    Ignored(&'static str),
    /// It was paid, so an operator has to look.
    Lost(&'static str),
}

/// The fact in the event, or the reason why the event grants nothing.
async fn understood<T: Transport>(
    cx: &Cx<'_, T>,
    seller: &str,
    event: &Value,
) -> Result<Result<PurchaseFact, UngrantedEvent>, ApiError> {
    let read = if seller == stripe::NAME {
        let deployments = &cx.config.deployments()?;
        stripe::read(event, Reader { deployments, live_only: cx.config.purchase_live })
    } else {
        generic::read(event)?
    };
    Ok(match read {
        SellerEvent::Tells(fact) => Ok(*fact),
        SellerEvent::Nothing(reason) => Err(UngrantedEvent::Ignored(reason)),
        SellerEvent::Lost(reason) => Err(UngrantedEvent::Lost(reason)),
        SellerEvent::TellsWithItems { mut fact, session } => {
            add_items(cx, &mut fact, &session).await?;
            match fact.is_of_something() {
                true => Ok(*fact),
                false => Err(UngrantedEvent::Ignored(NOT_KNOWN_AS_OURS)),
            }
        }
    })
}

/// Asks Stripe for the session's line items, if we have a key. Without an answer, the seller must
/// deliver the event once more.
async fn add_items<T: Transport>(
    cx: &Cx<'_, T>,
    fact: &mut PurchaseFact,
    session: &str,
) -> Result<(), ApiError> {
    if cx.config.stripe_api_key.is_none() {
        return Ok(());
    }
    let request = api::items_request(cx.config, session)?;
    let answer = cx.transport.send(request).await;
    let answer = answer.map_err(|error| ApiError::upstream(format!("Stripe: {error}")))?;
    match api::items(&answer)? {
        Some(items) => api::add_items(fact, &items),
        None => cx.log(
            "provider_alarm",
            json!({"level": "error", "provider": stripe::NAME, "cause": answer.status}),
        ),
    }
    Ok(())
}

async fn record<T: Transport>(
    cx: &Cx<'_, T>,
    seller: &str,
    event: &Value,
    fact: &PurchaseFact,
) -> Result<RecordedPurchase, ApiError> {
    let recorded = cx.db().purchase_record_v1(seller, fact).await;
    let lost = |error: &DbError| error.is(ErrorCode::BadRequest) || error.is(ErrorCode::NotFound);
    match recorded {
        // A further delivery of the same fact would fail in the same way. The seller shows the
        // event as long as it keeps it, and can be told to deliver it once more.
        Err(error) if lost(&error) => {
            let detail = named(seller, event, json!({"keys": fact.keys}));
            cx.log_error("purchase_refused", &error.into(), detail);
            Ok(NOTHING)
        }
        Err(error @ DbError::Refused { .. }) => {
            Err(ApiError::upstream(ApiError::from(error).to_string()))
        }
        recorded => {
            let recorded = recorded?;
            // It is paid but grants nothing yet. An operator must find out whether a pack is
            // missing or there is a fault.
            if let Some(reason) = &recorded.reason {
                let detail = json!({"reason": reason, "keys": fact.keys});
                cx.log("purchase_ignored", named(seller, event, detail));
            }
            Ok(recorded)
        }
    }
}

/// The detail of a log line, with the id and type of the event at the seller.
fn named(seller: &str, event: &Value, mut detail: Value) -> Value {
    if let Some(detail) = detail.as_object_mut() {
        detail.insert("seller".to_owned(), seller.into());
        for (name, field) in [("event_id", "id"), ("event_type", "type")] {
            let text = event.get(field).and_then(Value::as_str).unwrap_or_default();
            detail.insert(name.to_owned(), text.chars().take(100).collect::<String>().into());
        }
    }
    detail
}
