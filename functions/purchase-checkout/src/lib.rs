//! `purchase-checkout`: opens a Stripe Checkout session for a pack and replies the URL of its page.
//! It grants nothing: `purchase-webhook` does that when the payment has arrived.

use serde::{Deserialize, Serialize};
use shared::core::error::ApiError;
use shared::core::transport::Transport;
use shared::edge::Call;
use shared::flow::invocation::Invocation;
use shared::flow::order::input::at_most;
use shared::flow::purchase::checkout;

const TEXT_MAX: usize = 200;

shared::function! {
    name: "purchase-checkout",
    ops: {
        POST "" for User as Order => open,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CheckoutBody {
    pack: String,
    return_url: Option<String>,
}

#[derive(Serialize)]
struct CheckoutPage {
    url: String,
}

async fn open(call: &Call, body: CheckoutBody) -> Result<CheckoutPage, ApiError> {
    at_most("pack", Some(&body.pack), TEXT_MAX)?;
    let cx = call.cx();
    let attempt = match call.idempotency_key() {
        Some(key) => key.to_owned(),
        None => format!("{:032x}", cx.transport.random()),
    };
    let back = body.return_url.as_deref();
    let url = checkout::checkout(&cx, call.user()?, &body.pack, back, &attempt).await?;
    Ok(CheckoutPage { url })
}
