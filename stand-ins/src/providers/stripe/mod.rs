//! Stripe as a seller of packs uses it: hosted checkout, payment links, events, and what happens to
//! a payment later. It refuses what the API does not name, so that a mistake shows here first.
//!
//! Sources: `stripe` 17.7.0 and 23.1.0 of npm (parameters, objects and events of API 2025-02-24 and
//! 2026-10-28, the signature in esm/Webhooks.js), docs.stripe.com/api/errors,
//! docs.stripe.com/api/idempotent_requests, docs.stripe.com/api/metadata.
//!
//! | path | for |
//! |---|---|
//! | `POST /v1/checkout/sessions` | a session, also `GET …/<id>` and `GET …/<id>/line_items` |
//! | `GET /c/pay/<session>` | its page, with the buttons that a buyer has |
//! | `GET /b/<price>` | a payment link: a session without metadata |
//! | `POST /__refund` | `{payment, amount?, status?}`, or `{refund, status}` of an earlier one |
//! | `POST /__dispute` | `{payment, amount?}`, or `{dispute, status}` of an earlier one |
//! | `POST /__renew` | `{subscription}`: the next period is paid |
//!
//! `payment` is any id of the payment. An act, and the button that closes the page, are answered
//! when their events are delivered. In a script, `webhook`, `signature`, `events` and `shape` (1:
//! API 2025-02-24) apply to the events of a page or an act.

mod acts;
mod events;
mod objects;
mod page;
mod request;
mod shop;

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::ProviderTools;
use super::log::Log;
use super::provider::{Answering, Arrival, Concern, ProviderAnswer, StandInProvider};
use super::script::Behaviour;
use crate::client::Client;
use crate::config::StandInConfig;
use events::StripeEvent;
use shop::Shop;

const NAME: &str = "stripe";
const LOCAL_KEY: &str = "rk_test_local";
/// The secret that signs events; the functions have the same.
const WEBHOOK_SECRET: &str = "whsec_stripe_local";
/// For how long a page waits for the delivery of the events before it redirects the buyer. Source:
/// docs.stripe.com/checkout/fulfillment.
const BEFORE_RETURN: Duration = Duration::from_secs(10);

struct StripeShared {
    shop: Shop,
    keys: Vec<String>,
    /// The URL of this stand-in.
    base_url: String,
    /// The URL to which events are sent.
    webhook_url: String,
    client: Client,
    log: Arc<Log>,
}

#[derive(Clone)]
pub(super) struct Stripe(Arc<StripeShared>);

impl Stripe {
    pub(super) fn new(config: &StandInConfig, tools: &ProviderTools) -> Self {
        let keys = config.provider_keys.get(NAME).cloned();
        Self(Arc::new(StripeShared {
            shop: Shop::default(),
            keys: keys.unwrap_or_else(|| vec![LOCAL_KEY.to_owned()]),
            base_url: format!("{}/{NAME}", config.url(3)),
            webhook_url: format!("{}/functions/v1/purchase-webhook/{NAME}", config.url(1)),
            client: tools.client.clone(),
            log: Arc::clone(&tools.log),
        }))
    }

    async fn route(&self, arrival: &Arrival, behaviour: &Behaviour) -> ProviderAnswer {
        let route = arrival.route(NAME).to_owned();
        let segments: Vec<&str> = route.split('/').skip(1).collect();
        match (&arrival.method, segments.as_slice()) {
            (_, ["v1", rest @ ..]) => match request::admit(arrival, &self.0.keys) {
                Ok(()) => self.api(arrival, rest),
                Err(refusal) => refusal,
            },
            (&Method::GET, ["b", price]) => page::link(&self.0, price, arrival),
            (&Method::GET, ["c", "pay", session]) => page::shown(&self.0.shop, session, ""),
            (&Method::POST, ["c", "pay", session, button]) => {
                self.press(session, button, behaviour).await
            }
            (&Method::POST, [act]) => match acts::act(&self.0.shop, act, arrival.json()) {
                Ok((answer, events)) => {
                    self.tell(events, behaviour).await;
                    ProviderAnswer::json(200, &answer)
                }
                Err(error) => ProviderAnswer::json(400, &json!({"error": error})),
            },
            _ => request::unknown_url(arrival),
        }
    }

    fn api(&self, arrival: &Arrival, route: &[&str]) -> ProviderAnswer {
        let shop = &self.0.shop;
        let shown =
            |id: &str, show: &dyn Fn(&shop::CheckoutSession) -> Value| match shop.session(id) {
                Some(session) => ProviderAnswer::json(200, &show(&session)),
                None => request::missing("checkout.session", id, None, 404),
            };
        match (&arrival.method, route) {
            (&Method::POST, ["checkout", "sessions"]) => {
                request::create(shop, arrival, &self.0.base_url)
            }
            (&Method::GET, ["checkout", "sessions", id]) => {
                shown(id, &|session| objects::session(session, &self.0.base_url))
            }
            (&Method::GET, ["checkout", "sessions", id, "line_items"]) => {
                shown(id, &objects::line_items)
            }
            _ => request::unknown_url(arrival),
        }
    }

    async fn press(&self, session: &str, button: &str, behaviour: &Behaviour) -> ProviderAnswer {
        let shop = &self.0.shop;
        match button {
            "decline" => {
                let declined = acts::declined(shop, session);
                self.tell(declined.into_iter().collect(), behaviour).await;
                page::shown(shop, session, "Your card was declined.")
            }
            "pay" | "pay-and-close" => {
                let Some(events) = acts::pay(shop, session) else {
                    return page::shown(shop, session, "");
                };
                let (stripe, behaviour) = (self.clone(), behaviour.clone());
                let told = tokio::spawn(async move { stripe.tell(events, &behaviour).await });
                if button == "pay" {
                    let _ = tokio::time::timeout(BEFORE_RETURN, told).await;
                    return page::back(shop, session);
                }
                let _ = told.await;
                page::shown(shop, session, "")
            }
            _ => page::shown(shop, "", ""),
        }
    }

    async fn tell(&self, events: Vec<StripeEvent>, behaviour: &Behaviour) {
        events::deliver(&self.0, events, behaviour).await;
    }
}

impl StandInProvider for Stripe {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concern(&self, arrival: &Arrival) -> Concern {
        let route = arrival.route(NAME);
        let is_told = arrival.method == Method::POST && !route.starts_with("/v1/");
        Concern { is_submit: is_told, ..Concern::default() }
    }

    fn answer<'a>(&'a self, arrival: &'a Arrival, behaviour: &'a Behaviour) -> Answering<'a> {
        Box::pin(self.route(arrival, behaviour))
    }

    fn set_capacity(&self, _: usize) {}

    fn reset(&self) {}
}
