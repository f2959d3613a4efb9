//! Stripe's own contract: strict forms, idempotency keys, a page where one pays, and signed events.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use reqwest::Response;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

use crate::running::{Running, start, until};

const SESSIONS: &str = "/v1/checkout/sessions";

/// A form for a session of one pack, with other fields.
fn form(changes: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut form = vec![
        ("mode", "payment"),
        ("line_items[0][price]", "price_small"),
        ("line_items[0][quantity]", "1"),
        ("success_url", "https://shop.example/?purchase=paid"),
        ("client_reference_id", "user-1"),
        ("customer_email", "buyer@example.com"),
        ("metadata[unstuck_user]", "user-1"),
        ("payment_intent_data[metadata][unstuck_user]", "user-1"),
    ];
    for (name, value) in changes {
        form.retain(|(known, _)| known != name);
        if !value.is_empty() {
            form.push((name, value));
        }
    }
    form
}

async fn create(running: &Running, form: &[(&str, &str)], key: Option<&str>) -> Response {
    let url = format!("{}/stripe{SESSIONS}", running.providers);
    let request = running.client.post(url).bearer_auth("rk_test_local").form(form);
    let request = match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    };
    request.send().await.unwrap()
}

async fn created(running: &Running, form: &[(&str, &str)]) -> Value {
    let answer = create(running, form, None).await;
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

async fn post(running: &Running, path: &str, body: &Value) -> Response {
    running.client.post(format!("{}{path}", running.providers)).json(body).send().await.unwrap()
}

async fn press(running: &Running, session: &Value, button: &str) -> Response {
    let url = format!("{}/{button}", session["url"].as_str().unwrap());
    running.client.post(url).send().await.unwrap()
}

/// What the shop has received: signature and body of each event.
#[derive(Clone, Default)]
struct ShopDoor {
    got: Arc<Mutex<Vec<(String, String)>>>,
    /// The statuses of the first answers.
    refusals: Arc<Mutex<Vec<u16>>>,
}

impl ShopDoor {
    /// Listens where the functions of the stack would, behind the front door.
    async fn listen(&self, running: &Running) {
        let listener = TcpListener::bind(("127.0.0.1", running.base + 5)).await.unwrap();
        let router = Router::new().fallback(received).with_state(self.clone());
        tokio::spawn(stand_ins::serve::serve(listener, router));
    }

    fn events(&self) -> Vec<Value> {
        let got = self.got.lock().unwrap();
        got.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect()
    }

    fn kinds(&self) -> Vec<String> {
        self.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }
}

async fn received(State(door): State<ShopDoor>, headers: HeaderMap, body: String) -> StatusCode {
    let signature = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    door.got.lock().unwrap().push((signature.unwrap_or_default().to_owned(), body));
    let refusal = door.refusals.lock().unwrap().pop();
    StatusCode::from_u16(refusal.unwrap_or(200)).unwrap()
}

#[tokio::test]
async fn a_form_that_the_api_does_not_take_is_refused() {
    let running = start(json!({})).await;
    for (code, param, changes) in [
        ("parameter_missing", "mode", [("mode", "")].as_slice()),
        ("parameter_missing", "success_url", &[("success_url", "")]),
        ("parameter_missing", "line_items[0][price]", &[("line_items[0][price]", "")]),
        ("resource_missing", "line_items[0][price]", &[("line_items[0][price]", "price_x")]),
        ("parameter_unknown", "colour", &[("colour", "red")]),
        ("parameter_unknown", "metadata", &[("metadata", "x")]),
        ("url_invalid", "success_url", &[("success_url", "/back")]),
        ("email_invalid", "customer_email", &[("customer_email", "buyer")]),
        ("", "mode", &[("mode", "subscription"), ("payment_intent_data[metadata][a]", "")]),
        ("", "mode", &[("line_items[0][price]", "price_monthly")]),
        ("", "subscription_data", &[("subscription_data[metadata][a]", "b")]),
        (
            "",
            "metadata[an_honestly_much_too_long_name_of_metadata]",
            &[("metadata[an_honestly_much_too_long_name_of_metadata]", "b")],
        ),
    ] {
        let answer = create(&running, &form(changes), None).await;
        assert_eq!(answer.status(), 400, "{param}");
        let error: Value = answer.json().await.unwrap();
        let error = &error["error"];
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(
            (error["code"].as_str().unwrap_or_default(), &error["param"]),
            (code, &json!(param)),
            "{error}"
        );
    }
    let url = format!("{}/stripe{SESSIONS}", running.providers);
    for request in
        [running.client.post(&url), running.client.post(&url).bearer_auth("sk_test_0123456789")]
    {
        let answer = request.form(&form(&[])).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let error: Value = answer.json().await.unwrap();
        assert!(!error.to_string().contains("0123456789"), "a key is not repeated: {error}");
    }
    let as_json = running.client.post(&url).bearer_auth("rk_test_local").json(&json!({}));
    assert_eq!(as_json.send().await.unwrap().status(), 400);
    let unknown = running.client.get(format!("{url}/cs_1")).bearer_auth("rk_test_local");
    assert_eq!(unknown.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn an_idempotency_key_names_one_session() {
    let running = start(json!({})).await;
    let first: Value = create(&running, &form(&[]), Some("k")).await.json().await.unwrap();
    let second = create(&running, &form(&[]), Some("k")).await;
    assert_eq!(second.headers()["idempotent-replayed"], "true");
    assert_eq!(second.json::<Value>().await.unwrap()["id"], first["id"]);
    let other = create(&running, &form(&[("client_reference_id", "user-2")]), Some("k")).await;
    assert_eq!(other.status(), 400);
    let error: Value = other.json().await.unwrap();
    assert_eq!(error["error"]["type"], "idempotency_error");
    let items = format!(
        "{}/stripe{SESSIONS}/{}/line_items",
        running.providers,
        first["id"].as_str().unwrap()
    );
    let items = running.client.get(items).bearer_auth("rk_test_local").send().await.unwrap();
    let items: Value = items.json().await.unwrap();
    assert_eq!(
        (&items["data"][0]["price"]["id"], &items["data"][0]["quantity"]),
        (&json!("price_small"), &json!(1))
    );
}

#[tokio::test]
async fn a_paid_session_is_told_by_signed_events_and_leads_back() {
    let running = start(json!({})).await;
    let door = ShopDoor::default();
    door.refusals.lock().unwrap().push(503);
    door.listen(&running).await;
    let session = created(&running, &form(&[])).await;
    assert_eq!(session["payment_status"], "unpaid");
    let page = running.client.get(session["url"].as_str().unwrap()).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("<button>Pay</button>"));
    let declined = press(&running, &session, "decline").await;
    assert!(declined.text().await.unwrap().contains("declined"));
    let back = press(&running, &session, "pay").await;
    assert_eq!(
        (back.status().as_u16(), &back.headers()["location"]),
        (303, &"https://shop.example/?purchase=paid".parse().unwrap())
    );
    assert_eq!(
        door.kinds(),
        [
            "payment_intent.payment_failed",
            "payment_intent.payment_failed",
            "charge.succeeded",
            "payment_intent.succeeded",
            "checkout.session.completed"
        ],
        "an event is repeated until it is taken"
    );
    let last = door.events().pop().unwrap();
    let told = &last["data"]["object"];
    assert_eq!(
        (&told["id"], &told["payment_status"], &told["metadata"]["unstuck_user"]),
        (&session["id"], &json!("paid"), &json!("user-1"))
    );
    let (signature, _) = door.got.lock().unwrap().last().unwrap().clone();
    let (time, entry) = signature.split_once(",v1=").unwrap();
    assert!(time.starts_with("t=") && entry.len() == 64, "{signature}");
    let paid_twice = press(&running, &session, "pay").await;
    assert_eq!((paid_twice.status().as_u16(), door.kinds().len()), (200, 5));
}

#[tokio::test]
async fn a_script_reverses_the_events_and_shows_the_older_api() {
    let running = start(json!({})).await;
    let door = ShopDoor::default();
    door.listen(&running).await;
    running.script(json!({"stripe": {"all": true, "events": "reversed", "shape": 1}})).await;
    let monthly = created(
        &running,
        &form(&[
            ("mode", "subscription"),
            ("line_items[0][price]", "price_monthly"),
            ("payment_intent_data[metadata][unstuck_user]", ""),
            ("subscription_data[metadata][unstuck_user]", "user-1"),
        ]),
    )
    .await;
    let closed = press(&running, &monthly, "pay-and-close").await;
    assert_eq!(closed.status(), 200, "it leads nowhere");
    assert_eq!(door.kinds()[0], "checkout.session.completed");
    let invoice = door.events().into_iter().find(|event| event["type"] == "invoice.paid").unwrap();
    let invoice = &invoice["data"]["object"];
    assert!(invoice["charge"].is_string() && invoice.get("parent").is_none(), "{invoice}");
    running.script(json!({"reset": true})).await;
    let renewal = json!({"subscription": invoice["subscription"]});
    assert_eq!(post(&running, "/stripe/__renew", &renewal).await.status(), 200);
    let events = door.events();
    let renewed = events.iter().rev().find(|event| event["type"] == "invoice.paid").unwrap();
    let renewed = &renewed["data"]["object"];
    assert!(renewed.get("charge").is_none() && renewed["parent"].is_object(), "{renewed}");
    assert_eq!(
        renewed["lines"]["data"][0]["period"]["start"],
        invoice["lines"]["data"][0]["period"]["end"]
    );
}

#[tokio::test]
async fn refunds_and_disputes_are_told_in_all_their_events() {
    let running = start(json!({})).await;
    let door = ShopDoor::default();
    door.listen(&running).await;
    let link = format!("{}/stripe/b/price_small?prefilled_email=a@b.example", running.providers);
    let link = running.client.get(link).send().await.unwrap();
    let url = link.headers()["location"].to_str().unwrap().to_owned();
    press(&running, &json!({"url": url}), "pay").await;
    let session = until(async || door.events().pop()).await["data"]["object"].clone();
    assert_eq!(
        (&session["metadata"], &session["payment_link"]),
        (&json!({}), &json!("plink_price_small"))
    );
    let payment = session["payment_intent"].clone();
    let refund = json!({"payment": payment, "amount": 200, "status": "pending"});
    let refund: Value = post(&running, "/stripe/__refund", &refund).await.json().await.unwrap();
    let charge = door.events().into_iter().find(|event| event["type"] == "charge.refunded");
    assert_eq!(charge.unwrap()["data"]["object"]["amount_refunded"], 200);
    let too_much = json!({"payment": payment, "amount": 400});
    assert_eq!(post(&running, "/stripe/__refund", &too_much).await.status(), 400);
    let failed = json!({"refund": refund["refund"], "status": "failed"});
    post(&running, "/stripe/__refund", &failed).await;
    let dispute = json!({"payment": session["id"]});
    let dispute: Value = post(&running, "/stripe/__dispute", &dispute).await.json().await.unwrap();
    let won = json!({"dispute": dispute["dispute"], "status": "won"});
    post(&running, "/stripe/__dispute", &won).await;
    assert_eq!(
        door.kinds()[3..],
        [
            "refund.created",
            "charge.refunded",
            "charge.refund.updated",
            "refund.updated",
            "charge.refund.updated",
            "refund.failed",
            "charge.dispute.created",
            "charge.dispute.funds_withdrawn",
            "charge.dispute.closed",
            "charge.dispute.funds_reinstated"
        ]
    );
}
