//! Opens the page where a user pays for a pack.

use crate::core::config::Config;
use crate::core::error::ApiError;
use crate::core::id::UserId;
use crate::core::return_page;
use crate::core::seller::stripe::api::{self, CheckoutOrder};
use crate::core::transport::{HttpRequest, HttpResult, Transport};
use crate::flow::Cx;
use url::Url;

/// The pause before a call to Stripe is repeated once: it got no answer, or one that allows a
/// repetition (409, 429, 5xx).
const REPEAT_MS: u32 = 300;

/// Returns the URL of the page where `pack` is paid. `attempt` identifies the try: the same user,
/// pack and attempt get the same page.
pub async fn checkout<T: Transport>(
    cx: &Cx<'_, T>,
    user: UserId,
    pack: &str,
    return_url: Option<&str>,
    attempt: &str,
) -> Result<String, ApiError> {
    let config = cx.config;
    let back = return_page(config, return_url)?;
    let sold = cx.db().purchase_checkout_v1(user, pack).await?;
    if let Some(url) = &config.buy_url {
        return Ok(url.clone());
    }
    let price = sold.price_id.as_deref().ok_or_else(ApiError::not_found)?;
    let order = CheckoutOrder {
        user,
        email: sold.email.as_deref(),
        pack: &sold.pack,
        credits: sold.credits,
        price,
        recurring: sold.recurring,
        deployment: &config.deployment()?,
        success_url: &with_outcome(&back, "paid"),
        cancel_url: &with_outcome(&back, "cancelled"),
        attempt,
    };
    let request = api::checkout_request(config, &order)?;
    let answer = sent(cx, request).await;
    let answer = answer.map_err(|error| ApiError::upstream(format!("Stripe: {error}")))?;
    api::checkout_url(&answer)
}

/// Sends a call with an idempotency key. Repeats it once if there was no answer, or if Stripe
/// allows a repetition (`api::may_be_repeated`).
async fn sent<T: Transport>(cx: &Cx<'_, T>, request: HttpRequest) -> HttpResult {
    match cx.transport.send(request.clone()).await {
        Ok(answer) if !api::may_be_repeated(&answer) => Ok(answer),
        _ => {
            cx.transport.sleep(REPEAT_MS).await;
            cx.transport.send(request).await
        }
    }
}

/// The page to which the buyer returns: our own first page, unless the caller names another one
/// that the settings allow.
fn return_page(config: &Config, named: Option<&str>) -> Result<Url, ApiError> {
    let own = Url::parse(config.functions_url()?);
    let own = own.map_err(|_| ApiError::misconfigured("FUNCTIONS_URL"))?;
    match named {
        Some(text) => return_page::check(text, &own, &config.purchase_return_hosts)
            .map_err(|problem| ApiError::bad_field("returnUrl", problem)),
        None => own.join("/").map_err(|_| ApiError::misconfigured("FUNCTIONS_URL")),
    }
}

/// The page's URL with the outcome of the purchase in its query, in place of an earlier outcome.
fn with_outcome(page: &Url, outcome: &str) -> String {
    const NAME: &str = "purchase";
    let kept: Vec<(String, String)> =
        page.query_pairs().into_owned().filter(|(name, _)| name != NAME).collect();
    let mut page = page.clone();
    page.query_pairs_mut().clear().extend_pairs(kept).append_pair(NAME, outcome);
    page.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_of_the_last_purchase_alone() {
        for (page, expected) in [
            ("https://a.example/", "https://a.example/?purchase=paid"),
            ("https://a.example/x?a=1#b", "https://a.example/x?a=1&purchase=paid#b"),
            ("https://a.example/?purchase=cancelled&a=1", "https://a.example/?a=1&purchase=paid"),
        ] {
            assert_eq!(with_outcome(&Url::parse(page).unwrap(), "paid"), expected);
        }
    }

    #[test]
    fn a_buyer_returns_to_our_first_page_unless_an_allowed_one_is_named() {
        let config = Config {
            functions_url: Some("https://gate.example/functions/v1".to_owned()),
            purchase_return_hosts: vec!["shop.example".to_owned()],
            ..Config::default()
        };
        let back = |named: Option<&str>| return_page(&config, named).map(String::from);
        assert_eq!(back(None).unwrap(), "https://gate.example/");
        for named in ["https://gate.example/admin?a=1", "https://shop.example/back"] {
            assert_eq!(back(Some(named)).unwrap(), named);
        }
        let refused = back(Some("https://evil.example/")).unwrap_err();
        assert_eq!(refused.fields["field"], "returnUrl");
    }
}
