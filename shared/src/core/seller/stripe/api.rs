//! The two calls to Stripe's API: make a checkout session, and read a session's line items.

use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::fields::{id, number, text};
use super::metadata;
use crate::core::config::Config;
use crate::core::digest::sha256_hex;
use crate::core::error::{ApiError, ErrorCode};
use crate::core::id::UserId;
use crate::core::seller::PurchaseFact;
use crate::core::transport::{HttpRequest, HttpResponse};

/// The API version whose parameters and answers this module knows; the account's default may be
/// older.
const VERSION: &str = "2026-10-28.endive";
const CHECKOUT_MS: u32 = 10_000;
/// An event must be answered soon. If the call takes longer, it is repeated with the next delivery.
const ITEMS_MS: u32 = 3_000;

/// The inputs of a checkout session.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckoutOrder<'a> {
    pub user: UserId,
    pub email: Option<&'a str>,
    pub pack: &'a str,
    pub credits: i64,
    pub price: &'a str,
    pub recurring: bool,
    pub deployment: &'a str,
    pub success_url: &'a str,
    pub cancel_url: &'a str,
    /// Identifies the attempt of this user; equal attempts get the same session.
    pub attempt: &'a str,
}

/// Builds the request that makes a checkout session. Its metadata is put on the session and on the
/// payment or the subscription, so that every later event names our user.
pub fn checkout_request(
    config: &Config,
    order: &CheckoutOrder<'_>,
) -> Result<HttpRequest, ApiError> {
    let user = order.user.to_string();
    let credits = order.credits.to_string();
    let (mode, object) = match order.recurring {
        true => ("subscription", "subscription_data"),
        false => ("payment", "payment_intent_data"),
    };
    let mut form = Serializer::new(String::new());
    form.append_pair("mode", mode)
        .append_pair("line_items[0][price]", order.price)
        .append_pair("line_items[0][quantity]", "1")
        .append_pair("client_reference_id", &user)
        .append_pair("success_url", order.success_url)
        .append_pair("cancel_url", order.cancel_url);
    if let Some(email) = order.email {
        form.append_pair("customer_email", email);
    }
    for (name, value) in [
        (metadata::USER, user.as_str()),
        (metadata::PACK, order.pack),
        (metadata::CREDITS, &credits),
        (metadata::PRICE, order.price),
        (metadata::DEPLOYMENT, order.deployment),
    ] {
        form.append_pair(&format!("metadata[{name}]"), value);
        form.append_pair(&format!("{object}[metadata][{name}]"), value);
    }
    let attempt = format!("{}/{user}/{}/{}", order.deployment, order.pack, order.attempt);
    let mut request = request(config, "POST", "/v1/checkout/sessions", CHECKOUT_MS)?;
    request
        .headers
        .push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
    request.headers.push(("idempotency-key".to_owned(), sha256_hex(attempt.as_bytes())));
    request.body = Some(form.finish());
    Ok(request)
}

/// Builds the request for a session's line items.
pub fn items_request(config: &Config, session: &str) -> Result<HttpRequest, ApiError> {
    let session: String = url::form_urlencoded::byte_serialize(session.as_bytes()).collect();
    let path = format!("/v1/checkout/sessions/{session}/line_items?limit=100");
    request(config, "GET", &path, ITEMS_MS)
}

fn request(
    config: &Config,
    method: &'static str,
    path: &str,
    timeout_ms: u32,
) -> Result<HttpRequest, ApiError> {
    let key = config.stripe_api_key.as_ref();
    let key = key.ok_or_else(|| ApiError::misconfigured("STRIPE_API_KEY"))?;
    Ok(HttpRequest {
        method,
        url: format!("{}{path}", config.stripe_base_url()?),
        headers: vec![
            ("authorization".to_owned(), format!("Bearer {key}")),
            ("stripe-version".to_owned(), VERSION.to_owned()),
        ],
        body: None,
        timeout_ms,
    })
}

/// The URL of the page where the session is paid.
pub fn checkout_url(response: &HttpResponse) -> Result<String, ApiError> {
    match text(&response.json(), "/url") {
        Some(url) if response.is_success() => Ok(url),
        _ => Err(refusal(response)),
    }
}

/// The line items of a session. `None`: Stripe does not show them to our key.
pub fn items(response: &HttpResponse) -> Result<Option<Value>, ApiError> {
    match response.status {
        200 => Ok(Some(response.json())),
        401 | 403 | 404 => Ok(None),
        _ => Err(refusal(response)),
    }
}

/// Adds a session's line items to the fact: their prices, and the quantity of each.
pub fn add_items(fact: &mut PurchaseFact, items: &Value) {
    let items = items.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let bought = |item: &Value| Some((id(item, "/price")?, number(item, "/quantity").unwrap_or(1)));
    fact.set_bought(items.iter().filter_map(bought));
}

/// Whether Stripe allows to repeat the call.
pub fn may_be_repeated(response: &HttpResponse) -> bool {
    response.status >= 500 || matches!(response.status, 409 | 429)
}

/// Stripe's refusal as one of our errors. Its code and parameter go to the log; its message is left
/// out, because it may contain a user's text.
fn refusal(response: &HttpResponse) -> ApiError {
    let body = response.json();
    let part = |name: &str| text(&body, &format!("/error/{name}")).unwrap_or_default();
    let (status, kind) = (response.status, part("type"));
    let detail = format!("Stripe: {status} {kind} {} {}", part("code"), part("param"));
    match status {
        401 | 403 => ApiError::misconfigured("STRIPE_API_KEY").with_internal(detail),
        400 if kind == "idempotency_error" => {
            ApiError::of(ErrorCode::IdempotencyConflict).with_internal(detail)
        }
        400..=428 => ApiError::internal(detail),
        _ => ApiError::upstream(detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config() -> Config {
        Config {
            stripe_base_url: Some("https://api.stripe.com".to_owned()),
            stripe_api_key: Some("rk_test_1".to_owned()),
            ..Config::default()
        }
    }

    fn order(recurring: bool) -> CheckoutOrder<'static> {
        CheckoutOrder {
            user: UserId::from_random(1),
            email: None,
            pack: "a & b",
            credits: 100,
            price: "price_1",
            recurring,
            deployment: "here",
            success_url: "https://shop.example/?a=1&b=2",
            cancel_url: "https://shop.example/",
            attempt: "1",
        }
    }

    fn answer(status: u16, body: Value) -> HttpResponse {
        HttpResponse { status, headers: Vec::new(), body: body.to_string() }
    }

    #[test]
    fn the_metadata_stands_on_the_session_and_on_what_it_makes() {
        for (recurring, inner) in [(false, "payment_intent_data"), (true, "subscription_data")] {
            let request = checkout_request(&config(), &order(recurring)).unwrap();
            let body = request.body.unwrap();
            let fields: Vec<(String, String)> =
                url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            let field = |name: &str| {
                fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
            };
            assert_eq!(field("success_url"), Some("https://shop.example/?a=1&b=2"));
            assert_eq!(field("customer_email"), None);
            for at in ["metadata", &format!("{inner}[metadata]")] {
                assert_eq!(field(&format!("{at}[unstuck_pack]")), Some("a & b"));
                assert_eq!(field(&format!("{at}[unstuck_price]")), Some("price_1"));
                assert_eq!(field(&format!("{at}[unstuck_deployment]")), Some("here"));
            }
        }
    }

    #[test]
    fn an_attempt_of_a_user_at_a_pack_has_one_idempotency_key() {
        let key = |order: &CheckoutOrder<'_>| {
            let request = checkout_request(&config(), order).unwrap();
            let found = request.headers.into_iter().find(|(name, _)| name == "idempotency-key");
            found.unwrap().1
        };
        let first = order(false);
        assert_eq!(key(&first), key(&first));
        let other_user = CheckoutOrder { user: UserId::from_random(2), ..first.clone() };
        let other_pack = CheckoutOrder { pack: "c", ..first.clone() };
        let other_attempt = CheckoutOrder { attempt: "2", ..first.clone() };
        for other in [other_user, other_pack, other_attempt] {
            assert_ne!(key(&other), key(&first));
        }
    }

    #[test]
    fn a_refusal_of_stripe_is_an_error_of_ours() {
        let error = |status, kind: &str| {
            let body = json!({"error": {"type": kind, "param": "line_items[0][price]",
                "message": "about a@b.example"}});
            let error = checkout_url(&answer(status, body)).unwrap_err();
            assert!(!format!("{error:?}").contains("a@b.example"), "{error:?}");
            error.code
        };
        assert_eq!(error(401, "invalid_request_error"), ErrorCode::Misconfigured);
        assert_eq!(error(403, "invalid_request_error"), ErrorCode::Misconfigured);
        assert_eq!(error(400, "idempotency_error"), ErrorCode::IdempotencyConflict);
        assert_eq!(error(400, "invalid_request_error"), ErrorCode::Internal);
        assert_eq!(error(429, "invalid_request_error"), ErrorCode::UpstreamUnavailable);
        assert_eq!(error(500, "api_error"), ErrorCode::UpstreamUnavailable);
        let url = json!({"url": "https://checkout.stripe.com/c/pay/cs_1"});
        assert!(checkout_url(&answer(200, url)).is_ok());
        assert!(checkout_url(&answer(200, json!({"url": null}))).is_err());
    }

    #[test]
    fn line_items_are_prices_and_how_many_were_bought_of_each() {
        let mut fact = PurchaseFact::default();
        let list = json!({"data": [
            {"price": {"id": "price_1"}, "quantity": 3},
            {"price": "price_2", "quantity": 2},
            {"price": {"id": "price_1"}, "quantity": 4},
            {"price": null, "quantity": null},
        ]});
        add_items(&mut fact, &list);
        let expected = [("price_1".to_owned(), 7), ("price_2".to_owned(), 2)];
        assert_eq!((fact.price_ids.len(), fact.quantity), (2, None));
        assert_eq!(fact.quantities, expected.into());
        // The pack in the metadata, and its credits, count as often as the smallest quantity.
        let mut named = PurchaseFact { credits: Some(50), ..PurchaseFact::default() };
        add_items(&mut named, &list);
        assert_eq!(
            (named.credits, named.quantity, named.quantities.len()),
            (Some(100), Some(2), 0)
        );
        // The quantities of two lines with the same price are added.
        let lines = json!({"data": [list["data"][0], list["data"][2]]});
        let mut twice = PurchaseFact { pack: Some("small".to_owned()), ..PurchaseFact::default() };
        add_items(&mut twice, &lines);
        assert_eq!((twice.quantity, twice.price_ids.len()), (Some(7), 1));
        assert!(items_request(&config(), "cs_1/../x").unwrap().url.contains("cs_1%2F..%2Fx/line"));
        let hidden = answer(403, json!({"error": {"type": "invalid_request_error"}}));
        assert_eq!(items(&hidden).unwrap(), None);
        assert!(items(&answer(503, json!({}))).is_err());
    }
}
