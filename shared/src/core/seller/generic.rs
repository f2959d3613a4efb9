//! Events of any seller that signs by Standard Webhooks:
//! `{type, timestamp?, data: {id, userId or email, credits or pack, refundedShare?}}`. The types
//! are `purchase.paid`, `purchase.refunded`, `purchase.disputed` and `purchase.dispute_won`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{DisputeAt, PurchaseFact, SellerEvent, ShareAt};
use crate::core::body::typed;
use crate::core::error::ApiError;
use crate::core::id::UserId;

/// The seller's name in the URL for its events and in rows.
pub const NAME: &str = "generic";

/// A payment without an amount counts as a million parts, of which a share can be disputed.
const WHOLE: i64 = 1_000_000;
const TEXT_MAX: usize = 255;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaymentData {
    id: String,
    user_id: Option<UserId>,
    email: Option<String>,
    credits: Option<i64>,
    pack: Option<String>,
    refunded_share: Option<f64>,
}

/// Reads an authentic event. Answers 400 and names the field at fault.
pub fn read(event: &Value) -> Result<SellerEvent, ApiError> {
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let is_known = matches!(
        kind,
        "purchase.paid" | "purchase.refunded" | "purchase.disputed" | "purchase.dispute_won"
    );
    if !is_known {
        return Ok(SellerEvent::Nothing("unknown_type"));
    }
    let data: PaymentData = typed(event.get("data").unwrap_or(&Value::Null))?;
    let share = data.refunded_share;
    check(kind, &data)?;
    // Events without a time of their own all have the same one, because each delivery is signed
    // anew: a repeated event must not count as later than what followed it. Of equal times the
    // largest share and a won dispute count.
    let at = event.get("timestamp").and_then(seconds).unwrap_or(0);
    let mut fact = PurchaseFact {
        keys: vec![data.id.clone()],
        user_id: data.user_id,
        email: data.email,
        pack: data.pack,
        credits: data.credits,
        at,
        ..PurchaseFact::default()
    };
    match kind {
        "purchase.paid" => {
            fact.paid = true;
            fact.refunded_share = share.map(|share| ShareAt { share, at });
        }
        "purchase.refunded" => {
            fact.refunded_share = Some(ShareAt { share: share.unwrap_or(1.0), at });
        }
        _ => {
            let status = if kind == "purchase.dispute_won" { "won" } else { "open" };
            let told = DisputeAt { amount: parts(share.unwrap_or(1.0)), status, at };
            fact.amount = Some(WHOLE);
            fact.disputes = BTreeMap::from([(data.id, told)]);
        }
    }
    Ok(SellerEvent::tells(fact))
}

fn check(kind: &str, data: &PaymentData) -> Result<(), ApiError> {
    let fits = |text: &str| !text.is_empty() && text.len() <= TEXT_MAX;
    if !fits(&data.id) {
        return Err(ApiError::bad_field("id", "must have 1 to 255 bytes"));
    }
    if data.credits.is_some_and(|credits| credits <= 0) {
        return Err(ApiError::bad_field("credits", "must be positive"));
    }
    if data.refunded_share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        return Err(ApiError::bad_field("refundedShare", "must be from 0 to 1"));
    }
    if kind != "purchase.paid" {
        return Ok(());
    }
    if data.user_id.is_none() && !data.email.as_deref().is_some_and(fits) {
        return Err(ApiError::bad_field("userId", "or `email` must be given"));
    }
    if data.credits.is_none() && !data.pack.as_deref().is_some_and(fits) {
        return Err(ApiError::bad_field("credits", "or `pack` must be given"));
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "a share from 0 to 1 of a million")]
fn parts(share: f64) -> i64 {
    (share * 1_000_000.0).round() as i64
}

#[expect(clippy::cast_possible_truncation, reason = "a number too large becomes the largest")]
fn whole_seconds(timestamp: &Value) -> Option<i64> {
    timestamp.as_i64().or_else(|| Some(timestamp.as_f64()?.floor() as i64))
}

/// The seconds since 1970, from a number or from an RFC 3339 time such as `2026-11-29T02:28:40.5Z`.
fn seconds(timestamp: &Value) -> Option<i64> {
    let Some(text) = timestamp.as_str() else { return whole_seconds(timestamp) };
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
    let (hour, minute, second) = (part(11..13)?, part(14..16)?, part(17..19)?);
    let zone = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset_s = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign @ ("+" | "-"), rest) => {
            let (hours, minutes) = rest.split_once(':')?;
            let s = hours.parse::<i64>().ok()? * 3_600 + minutes.parse::<i64>().ok()? * 60;
            if sign == "+" { s } else { -s }
        }
        _ => return None,
    };
    // The days from 1970 to a date of the proleptic calendar. Here a year begins with March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 1
        - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second - offset_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const USER: &str = "00000000-0000-4000-8000-000000000001";

    fn told(kind: &str, data: Value) -> Value {
        let event = json!({"type": kind, "timestamp": "2026-11-29T02:28:40Z", "data": data});
        match read(&event).unwrap() {
            SellerEvent::Tells(fact) => serde_json::to_value(fact).unwrap(),
            other => json!(format!("{other:?}")),
        }
    }

    #[test]
    fn a_payment_names_its_user_and_its_credits() {
        assert_eq!(
            told("purchase.paid", json!({"id": "o-1", "userId": USER, "credits": 100})),
            json!({"keys": ["o-1"], "paid": true, "userId": USER, "credits": 100,
                "at": 1_795_919_320})
        );
        assert_eq!(
            told("purchase.paid", json!({"id": "o-2", "email": "a@b.example", "pack": "small"})),
            json!({"keys": ["o-2"], "paid": true, "email": "a@b.example", "pack": "small",
                "at": 1_795_919_320})
        );
    }

    #[test]
    fn a_refund_or_a_dispute_takes_a_share() {
        assert_eq!(
            told("purchase.refunded", json!({"id": "o-1", "refundedShare": 0.25})),
            json!({"keys": ["o-1"], "refundedShare": {"share": 0.25, "at": 1_795_919_320},
                "at": 1_795_919_320})
        );
        let all = told("purchase.refunded", json!({"id": "o-1"}));
        assert_eq!(all["refundedShare"]["share"], 1.0);
        for (kind, status) in [("purchase.disputed", "open"), ("purchase.dispute_won", "won")] {
            assert_eq!(
                told(kind, json!({"id": "o-1"})),
                json!({"keys": ["o-1"], "amount": 1_000_000, "at": 1_795_919_320,
                    "disputes": {"o-1": {"amount": 1_000_000, "status": status,
                        "at": 1_795_919_320}}})
            );
        }
    }

    #[test]
    fn an_error_names_the_field_at_fault() {
        let user = json!(USER);
        for (field, data) in [
            ("id", json!({"userId": user, "credits": 1})),
            ("id", json!({"id": "", "userId": user, "credits": 1})),
            ("userId", json!({"id": "o", "credits": 1})),
            ("userId", json!({"id": "o", "userId": "me", "credits": 1})),
            ("credits", json!({"id": "o", "userId": user})),
            ("credits", json!({"id": "o", "userId": user, "credits": 0})),
            ("credits", json!({"id": "o", "userId": user, "credits": 1.5})),
            (
                "refundedShare",
                json!({"id": "o", "userId": user, "credits": 1,
                "refundedShare": 1.1}),
            ),
        ] {
            let event = json!({"type": "purchase.paid", "data": data});
            assert_eq!(read(&event).unwrap_err().fields["field"], field, "{event}");
        }
    }

    #[test]
    fn events_without_a_time_of_their_own_have_the_same() {
        for timestamp in [json!(null), json!("yesterday, at two o'clock")] {
            let event = json!({"type": "purchase.refunded", "timestamp": timestamp,
                "data": {"id": "o-1"}});
            let SellerEvent::Tells(fact) = read(&event).unwrap() else { panic!("{event}") };
            assert_eq!((fact.at, fact.refunded_share.map(|share| share.at)), (0, Some(0)));
        }
    }

    #[test]
    fn another_type_grants_nothing() {
        for event in [json!({}), json!({"type": "ping"}), json!({"type": 7, "data": {}})] {
            assert_eq!(read(&event).unwrap(), SellerEvent::Nothing("unknown_type"));
        }
    }

    #[test]
    fn a_time_is_a_number_or_a_text_of_rfc_3339() {
        for (timestamp, expected) in [
            (json!(1_795_919_320), Some(1_795_919_320)),
            (json!(1_795_919_320.5), Some(1_795_919_320)),
            (json!("1970-01-01T00:00:00Z"), Some(0)),
            (json!("2026-11-29T02:28:40.123456Z"), Some(1_795_919_320)),
            (json!("2026-11-29T05:28:40+03:00"), Some(1_795_919_320)),
            (json!("2026-11-28T21:28:40-05:00"), Some(1_795_919_320)),
            (json!("2024-02-29T00:00:00Z"), Some(1_709_164_800)),
            (json!("2026-11-29"), None),
            (json!("yesterday, at two o'clock"), None),
            (json!(null), None),
        ] {
            assert_eq!(seconds(&timestamp), expected, "{timestamp}");
        }
    }
}
