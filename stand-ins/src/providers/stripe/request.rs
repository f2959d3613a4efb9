//! Reads a request of the API, checks it strictly, and words refusals as Stripe does.

use std::collections::BTreeMap;

use axum::http::Uri;
use serde_json::{Value, json};

use super::objects;
use super::shop::{CheckoutSession, PaymentMetadata, Price, Shop, new_id};
use crate::clock;
use crate::providers::provider::{Arrival, ProviderAnswer};

const METADATA_KEYS_MAX: usize = 50;
const METADATA_NAME_MAX: usize = 40;
const METADATA_VALUE_MAX: usize = 500;
const REFERENCE_MAX: usize = 200;
const IDEMPOTENCY_KEY_MAX: usize = 255;

/// Refuses an unknown key, or a version that is not written as Stripe writes one.
pub(super) fn admit(arrival: &Arrival, keys: &[String]) -> Result<(), ProviderAnswer> {
    let key = arrival.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let Some(key) = key else {
        let message = "You did not provide an API key. You need to provide your API key in the \
            Authorization header, using Bearer auth (e.g. \
            'Authorization: Bearer YOUR_SECRET_KEY').";
        return Err(refusal(401, None, message, None));
    };
    if !keys.iter().any(|known| known == key) {
        let shown: String = key.chars().take(8).collect();
        return Err(refusal(401, None, &format!("Invalid API Key provided: {shown}****"), None));
    }
    if arrival.header("stripe-version").is_some_and(|version| !is_version(version)) {
        let message = "Invalid Stripe API version";
        return Err(refusal(400, None, message, None));
    }
    Ok(())
}

/// Whether the text has the form of a version, such as `2025-02-24.acacia`.
fn is_version(text: &str) -> bool {
    let (date, name) = text.split_once('.').unwrap_or((text, ""));
    let digits = date.bytes().filter(u8::is_ascii_digit).count();
    digits == 8 && date.len() == 10 && name.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn refusal(status: u16, code: Option<&str>, message: &str, param: Option<&str>) -> ProviderAnswer {
    let mut error = json!({"message": message, "type": "invalid_request_error"});
    if let Some(code) = code {
        error["code"] = code.into();
        error["doc_url"] = format!("https://stripe.com/docs/error-codes/{code}").into();
    }
    if let Some(param) = param {
        error["param"] = param.into();
    }
    ProviderAnswer::json(status, &json!({ "error": error }))
}

fn invalid(message: &str, param: &str) -> ProviderAnswer {
    refusal(400, None, message, Some(param))
}

pub(super) fn unknown_url(arrival: &Arrival) -> ProviderAnswer {
    let message = format!(
        "Unrecognized request URL ({}: {}). Please see https://stripe.com/docs.",
        arrival.method, arrival.path
    );
    refusal(404, None, &message, None)
}

pub(super) fn missing(kind: &str, id: &str, param: Option<&str>, status: u16) -> ProviderAnswer {
    refusal(status, Some("resource_missing"), &format!("No such {kind}: '{id}'"), param)
}

/// Creates a session, once for each idempotency key.
pub(super) fn create(shop: &Shop, arrival: &Arrival, base_url: &str) -> ProviderAnswer {
    let form = arrival.text();
    let key = arrival.header("idempotency-key").unwrap_or_default();
    if key.len() > IDEMPOTENCY_KEY_MAX {
        return refusal(400, None, "Idempotency keys have at most 255 characters.", None);
    }
    if let Some((before, status, body)) = shop.answered(key) {
        if before != form {
            let message = format!(
                "Keys for idempotent requests can only be used with the same parameters they were \
                 first used with. Try using a key other than '{key}' if you meant to execute a \
                 different request."
            );
            let error = json!({"message": message, "type": "idempotency_error"});
            return ProviderAnswer::json(400, &json!({ "error": error }));
        }
        let again = ProviderAnswer::text(status, body);
        let header = Some(("idempotent-replayed", "true".to_owned()));
        return ProviderAnswer { content_type: "application/json", header, ..again };
    }
    let answer = match session(arrival, &form) {
        Ok(session) => {
            shop.open(session.clone());
            ProviderAnswer::json(200, &objects::session(&session, base_url)).about(session.id)
        }
        Err(refusal) => refusal,
    };
    // A request that was refused before it changed anything may be repeated with its key.
    if !key.is_empty() && answer.status == 200 {
        shop.remember(key, form, answer.status, answer.body.clone());
    }
    answer
}

/// The parameters by name, such as `line_items[0][price]`.
struct CheckoutForm(BTreeMap<String, String>);

impl CheckoutForm {
    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn required(&mut self, name: &str) -> Result<String, ProviderAnswer> {
        self.take(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            let message = format!("Missing required param: {name}.");
            refusal(400, Some("parameter_missing"), &message, Some(name))
        })
    }

    fn has(&self, name: &str) -> bool {
        self.0.keys().any(|known| known.starts_with(&format!("{name}[")))
    }

    fn metadata(&mut self, name: &str) -> Result<PaymentMetadata, ProviderAnswer> {
        let prefix = format!("{name}[");
        let names: Vec<String> =
            self.0.keys().filter(|known| known.starts_with(&prefix)).cloned().collect();
        let mut metadata = PaymentMetadata::default();
        for full in names {
            let inner = full.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(']'));
            let Some(key) = inner.filter(|key| !key.contains(['[', ']'])) else { continue };
            let key = key.to_owned();
            let value = self.take(&full).unwrap_or_default();
            if key.is_empty() || key.len() > METADATA_NAME_MAX || value.len() > METADATA_VALUE_MAX {
                return Err(invalid("Metadata keys or values are too long", &full));
            }
            metadata.insert(key, value);
        }
        if metadata.len() > METADATA_KEYS_MAX {
            return Err(invalid("You can only specify up to 50 metadata keys", name));
        }
        Ok(metadata)
    }

    fn url(&mut self, name: &str) -> Result<Option<String>, ProviderAnswer> {
        let Some(url) = self.take(name) else { return Ok(None) };
        let is_url = url.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some()
        });
        match is_url {
            true => Ok(Some(url)),
            false => Err(refusal(400, Some("url_invalid"), "Not a valid URL", Some(name))),
        }
    }
}

fn session(arrival: &Arrival, text: &str) -> Result<CheckoutSession, ProviderAnswer> {
    let kind = arrival.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        let message = "Invalid request (check that your POST content type is \
            application/x-www-form-urlencoded). If you have any questions, we can help at \
            https://support.stripe.com/.";
        return Err(refusal(400, None, message, None));
    }
    let mut form = CheckoutForm(form_urlencoded::parse(text.as_bytes()).into_owned().collect());
    let mode = form.required("mode")?;
    if !["payment", "subscription"].contains(&mode.as_str()) {
        return Err(invalid(
            "Invalid mode: must be one of payment, setup, or subscription",
            "mode",
        ));
    }
    form.required("success_url").map(|url| form.0.insert("success_url".to_owned(), url))?;
    let price = price(&mut form, &mode)?;
    let quantity = form.take("line_items[0][quantity]").unwrap_or_else(|| "1".to_owned());
    let quantity = quantity
        .parse()
        .ok()
        .filter(|quantity| *quantity > 0)
        .ok_or_else(|| invalid("Invalid integer", "line_items[0][quantity]"))?;
    let email = form.take("customer_email");
    if let Some(email) = email.as_deref().filter(|email| !is_email(email)) {
        let message = format!("Invalid email address: {email}");
        return Err(refusal(400, Some("email_invalid"), &message, Some("customer_email")));
    }
    let client_reference_id = form.take("client_reference_id");
    if client_reference_id.as_ref().is_some_and(|id| id.len() > REFERENCE_MAX) {
        return Err(invalid("Invalid string: at most 200 characters", "client_reference_id"));
    }
    let session = CheckoutSession {
        id: new_id("cs_test"),
        price,
        quantity,
        metadata: form.metadata("metadata")?,
        inner_metadata: inner_metadata(&mut form, &mode)?,
        email,
        client_reference_id,
        success_url: form.url("success_url")?,
        cancel_url: form.url("cancel_url")?,
        payment_link: None,
        created: clock::now_s(),
        paid_by: None,
    };
    match form.0.keys().next() {
        None => Ok(session),
        Some(unknown) => {
            let message = format!("Received unknown parameter: {unknown}");
            Err(refusal(400, Some("parameter_unknown"), &message, Some(unknown)))
        }
    }
}

/// The metadata of the object that the mode creates; the metadata of the other mode's object is
/// refused.
fn inner_metadata(form: &mut CheckoutForm, mode: &str) -> Result<PaymentMetadata, ProviderAnswer> {
    let (own, other) = match mode {
        "payment" => ("payment_intent_data", "subscription_data"),
        _ => ("subscription_data", "payment_intent_data"),
    };
    if form.has(other) {
        let message = format!("You can not pass `{other}` in `{mode}` mode.");
        return Err(invalid(&message, other));
    }
    form.metadata(&format!("{own}[metadata]"))
}

fn price(form: &mut CheckoutForm, mode: &str) -> Result<&'static Price, ProviderAnswer> {
    const PARAM: &str = "line_items[0][price]";
    let id = form.required(PARAM)?;
    let price = Price::of(&id).ok_or_else(|| missing("price", &id, Some(PARAM), 400))?;
    match (mode, price.recurring) {
        ("payment", true) => Err(invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to \
             `subscription` mode or use only one-time prices.",
            "mode",
        )),
        ("subscription", false) => Err(invalid(
            "You must provide at least one recurring price in `subscription` mode when using \
             prices.",
            "mode",
        )),
        _ => Ok(price),
    }
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}

/// The parameters of a payment link.
pub(super) fn query(arrival: &Arrival) -> Value {
    let query = arrival.path.split_once('?').map_or("", |(_, query)| query);
    let fields = form_urlencoded::parse(query.as_bytes()).into_owned();
    fields.map(|(name, value)| (name, Value::from(value))).collect::<serde_json::Map<_, _>>().into()
}
