//! The page where a buyer pays, and payment links, which open such a page.

use super::StripeShared;
use super::request::query;
use super::shop::{CheckoutSession, PaymentMetadata, Price, Shop, new_id};
use crate::clock;
use crate::providers::provider::{Arrival, ProviderAnswer};

/// The page of a session, with the buttons that are possible in its state.
pub(super) fn shown(shop: &Shop, id: &str, notice: &str) -> ProviderAnswer {
    let Some(session) = shop.session(id) else {
        return ProviderAnswer::page(404, html("<h1>Something went wrong</h1>"));
    };
    let total = format!("€{}.{:02}", session.amount() / 100, session.amount() % 100);
    let body = match session.paid_by {
        Some(_) => "<p>Thank you, it is paid. You can close this page.</p>".to_owned(),
        None => buttons(&session),
    };
    ProviderAnswer::page(
        200,
        html(&format!(
            "<h1>{}</h1><p>{total}</p><p role=\"status\">{notice}</p>{body}",
            session.price.name
        )),
    )
}

fn buttons(session: &CheckoutSession) -> String {
    let button = |act: &str, label: &str| {
        format!(
            "<form method=\"post\" action=\"/stripe/c/pay/{}/{act}\"><button>{label}</button>\
             </form>",
            session.id
        )
    };
    let back = session
        .cancel_url
        .as_deref()
        .map(escaped)
        .map(|url| format!("<p><a href=\"{url}\">Back</a></p>"));
    [
        button("pay", "Pay"),
        button("decline", "Use a card that is declined"),
        button("pay-and-close", "Buy and close the page"),
        back.unwrap_or_default(),
    ]
    .concat()
}

/// Redirects the buyer back to the shop.
pub(super) fn back(shop: &Shop, id: &str) -> ProviderAnswer {
    let url = shop.session(id).and_then(|session| session.success_url);
    match url {
        Some(url) => redirect(url),
        None => shown(shop, id, ""),
    }
}

/// Opens a session for a buyer who follows a payment link. The session has no metadata.
pub(super) fn link(stripe: &StripeShared, price: &str, arrival: &Arrival) -> ProviderAnswer {
    let Some(price) = Price::of(price) else {
        return ProviderAnswer::page(404, html("<h1>This link is no longer active</h1>"));
    };
    let query = query(arrival);
    let text = |name: &str| query.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let session = CheckoutSession {
        id: new_id("cs_test"),
        price,
        quantity: text("quantity").and_then(|text| text.parse().ok()).unwrap_or(1),
        metadata: PaymentMetadata::default(),
        inner_metadata: PaymentMetadata::default(),
        email: text("prefilled_email"),
        client_reference_id: text("client_reference_id"),
        success_url: None,
        cancel_url: None,
        payment_link: Some(format!("plink_{}", price.id)),
        created: clock::now_s(),
        paid_by: None,
    };
    let url = format!("{}/c/pay/{}", stripe.base_url, session.id);
    let id = session.id.clone();
    stripe.shop.open(session);
    redirect(url).about(id)
}

fn redirect(url: String) -> ProviderAnswer {
    let page = ProviderAnswer::page(303, String::new());
    ProviderAnswer { header: Some(("location", url)), ..page }
}

fn html(body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Checkout</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <main>{body}</main></html>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
