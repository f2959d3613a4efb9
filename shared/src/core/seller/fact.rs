//! One fact about a payment, in the form that `purchase_record_v1` reads.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::core::id::UserId;

/// The facts of one event about a payment. Facts that the event does not contain are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PurchaseFact {
    /// All names of the payment in the event. Facts that share a key belong to one purchase.
    pub keys: Vec<String>,
    /// Whether the money has arrived.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paid: bool,
    /// Whether the event only connects keys and user, and another event tells what was paid.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<String>,
    /// The seller's prices that were paid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub price_ids: Vec<String>,
    /// The payment link that was used. Where a pack has its id, the packs of what it sold do not
    /// count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The subscription of which a period was paid. The user who is named with it owns every
    /// payment of it that names nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// The credits of the whole payment, whatever the quantity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credits: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<i64>,
    /// The quantity of each price, if they differ.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub quantities: BTreeMap<String, i64>,
    /// The share of the pack that the payment covers. It exceeds 1 if the payment also covers a
    /// change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The total amount paid, in the smallest unit of the currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund_total: Option<RefundTotal>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refunds: BTreeMap<String, RefundAt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refunded_share: Option<ShareAt>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub disputes: BTreeMap<String, DisputeAt>,
    /// The time of the event in seconds since 1970.
    pub at: i64,
}

/// The refunded amount of a charge at a point in time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RefundTotal {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge: Option<String>,
    pub amount: i64,
    pub at: i64,
}

/// A share from 0 to 1 at a point in time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShareAt {
    pub share: f64,
    pub at: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RefundAt {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge: Option<String>,
    pub amount: i64,
    /// `pending`, `succeeded`, `failed` or `canceled`.
    pub status: &'static str,
    pub at: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DisputeAt {
    pub amount: i64,
    /// `open`, `won`, `lost` or `warning`.
    pub status: &'static str,
    pub at: i64,
}

impl PurchaseFact {
    /// Records the bought prices and their quantities, and multiplies `credits`, which so far are
    /// those of one pack, by the quantity. If the quantities differ, it is unknown which of them
    /// belongs to the pack in the metadata, so the smallest counts.
    pub(super) fn set_bought(&mut self, bought: impl IntoIterator<Item = (String, i64)>) {
        let mut quantities = BTreeMap::new();
        for (price, quantity) in bought {
            if !self.price_ids.contains(&price) {
                self.price_ids.push(price.clone());
            }
            *quantities.entry(price).or_insert(0) += quantity;
        }
        let [smallest, largest] = [quantities.values().min(), quantities.values().max()];
        let smallest = smallest.copied();
        let differ = smallest != largest.copied();
        if differ && self.pack.is_none() && self.credits.is_none() {
            self.quantities = quantities;
            return;
        }
        self.credits = self.credits.map(|one| one.saturating_mul(smallest.unwrap_or(1)));
        self.quantity = smallest;
    }

    /// Whether the fact tells what was bought. A payment for an unknown thing is not ours.
    pub fn is_of_something(&self) -> bool {
        self.pack.is_some()
            || self.credits.is_some()
            || self.link.is_some()
            || !self.price_ids.is_empty()
    }
}
