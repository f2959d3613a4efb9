//! Purchases: the packs of the local shop, Stripe's page, and the events that Stripe and other
//! sellers send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use super::user::now_s;
use super::{TestUser, World};

/// The local signing secrets, which the functions and the stand-in have too.
pub const STRIPE_SECRET: &str = "whsec_stripe_local";
const GENERIC_KEY: &[u8] = b"generic-local-secret";

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Stripe's signature of a body that is sent at `sent_s`.
pub fn stripe_signature(secret: &str, sent_s: i64, body: &str) -> String {
    let signature = mac(secret.as_bytes(), &format!("{sent_s}.{body}"));
    let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={sent_s},v1={hex}")
}

/// The signature of a body by Standard Webhooks, with the local secret.
pub fn generic_signature(id: &str, sent_s: i64, body: &str) -> String {
    format!("v1,{}", STANDARD.encode(mac(GENERIC_KEY, &format!("{id}.{sent_s}.{body}"))))
}

/// The secret of [`generic_signature`] as a function's setting has it.
pub fn generic_secret() -> String {
    format!("whsec_{}", STANDARD.encode(GENERIC_KEY))
}

impl World {
    /// The packs that the stand-in of Stripe has prices for.
    pub async fn stock(&self) {
        self.db()
            .exec(
                "insert into unstuck.credit_packs (pack, credits, price_id, recurring, words)
                values ('small', 100, 'price_small', false, '{}'),
                    ('large', 500, 'price_large', false, '{}'),
                    ('monthly', 300, 'price_monthly', true, '{}')
                on conflict do nothing",
            )
            .await;
    }

    /// The address of the page where this user pays for a pack.
    pub async fn checkout(&self, user: &TestUser, pack: &str) -> String {
        let body = json!({ "pack": pack });
        let answer = self.call("purchase-checkout").by(user).json(&body).ok().await;
        answer["url"].as_str().unwrap_or_else(|| panic!("no page: {answer}")).to_owned()
    }

    /// Pays at a page of Stripe and closes it. When this returns, Stripe has delivered the events.
    pub async fn pay(&self, page: &str) {
        let answer = self.stripe().post(format!("{page}/pay-and-close")).send().await;
        assert_eq!(answer.expect("the page answers").status(), 200);
    }

    /// Opens a payment link and pays. Returns the session's id.
    pub async fn pay_by_link(&self, price: &str, query: &str) -> String {
        let url = format!("{}/stripe/b/{price}?{query}", self.stack().info().providers_url);
        let opened = self.stripe().get(url).send().await.expect("the link answers");
        let page = opened.headers()["location"].to_str().expect("an address").to_owned();
        self.pay(&page).await;
        page.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// Buys a pack. Returns Stripe's names of the payment.
    pub async fn buy(&self, user: &TestUser, pack: &str) -> Vec<String> {
        let page = self.checkout(user, pack).await;
        self.pay(&page).await;
        self.keys_of(user).await
    }

    /// All names of all payments of a user.
    pub async fn keys_of(&self, user: &TestUser) -> Vec<String> {
        self.db()
            .texts(&format!(
                "select unnest(keys) from unstuck.purchases where user_id = '{}'
                order by created_at",
                user.id
            ))
            .await
    }

    /// Performs `__refund`, `__dispute` or `__renew` at Stripe. When this returns, Stripe has
    /// delivered the events.
    pub async fn at_stripe(&self, act: &str, body: Value) -> Value {
        let url = format!("{}/stripe/{act}", self.stack().info().providers_url);
        let answer = self.http().post(url).json(&body).send().await.expect("an answer");
        let status = answer.status();
        let answer = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "{act} {body}: {status} {answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Posts an event of Stripe, signed now with the local secret. Returns the body of the answer,
    /// which must be a 200.
    pub async fn stripe_event(&self, event: &Value) -> Value {
        let body = event.to_string();
        let signature = stripe_signature(STRIPE_SECRET, now_s(), &body);
        let call = self.call("purchase-webhook/stripe").header("stripe-signature", &signature);
        call.body(body).ok().await
    }

    /// Posts an event of another seller, signed now.
    pub async fn generic_event(&self, kind: &str, data: Value) -> super::call::FunctionAnswer {
        let body = json!({ "type": kind, "data": data }).to_string();
        let (id, sent_s) = (format!("msg_{}", Uuid::new_v4()), now_s());
        let signature = generic_signature(&id, sent_s, &body);
        let call = self.call("purchase-webhook/generic").header("webhook-id", &id);
        let call = call.header("webhook-timestamp", &sent_s.to_string());
        call.header("webhook-signature", &signature).body(body).send().await
    }

    /// A client that does not follow redirects, so that a test sees their addresses.
    fn stripe(&self) -> reqwest::Client {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        client.build().expect("a client")
    }
}
