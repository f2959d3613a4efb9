//! `purchase-webhook`: receives sellers' events at `<seller>`, verifies the signature over the raw
//! body before it reads it, and records the event's facts about a payment. The database grants
//! credits and takes them back.

use serde::Serialize;
use shared::core::body::NoInput;
use shared::core::error::ApiError;
use shared::db::purchase::RecordedPurchase;
use shared::edge::Call;
use shared::flow::invocation::Invocation;
use shared::flow::purchase::receive;

shared::function! {
    name: "purchase-webhook",
    ops: {
        POST "" for Seller => receive,
    },
}

#[derive(Serialize)]
struct PurchaseStored {
    ok: bool,
    granted: i64,
    taken: i64,
    replayed: bool,
}

async fn receive(call: &Call, _: NoInput) -> Result<PurchaseStored, ApiError> {
    let [seller] = call.path.as_slice() else { return Err(ApiError::not_found()) };
    let recorded = receive::receive(&call.cx(), seller, &call.signature, &call.raw_body).await?;
    let RecordedPurchase { granted, taken, replayed, .. } = recorded;
    Ok(PurchaseStored { ok: true, granted, taken, replayed })
}
