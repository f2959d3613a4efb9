//! One fact about a payment, in the form that `purchase_record_v1` reads.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::core::id::UserId;

/// What one event tells about a payment. What it does not tell is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PurchaseFact {
    /// Every name by which the event knows the payment. Facts that share a key are of one purchase.
    pub keys: Vec<String>,
    /// The money has arrived.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paid: bool,
    /// The event only ties keys and user together; another one tells what was paid.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<String>,
    /// The seller's prices that were paid, or the payment link that was used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub price_ids: Vec<String>,
    /// In all, whatever the quantity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credits: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<i64>,
    /// How many were bought of each price, where these are not one number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub quantities: BTreeMap<String, i64>,
    /// The part of the pack that the payment is for; over 1 where it pays for a change too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Paid in all, in the smallest unit of the currency.
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

/// What was refunded of a charge, as of a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RefundTotal {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge: Option<String>,
    pub amount: i64,
    pub at: i64,
}

/// A share from 0 to 1, as of a moment.
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
    /// Records the prices that were bought and their quantities, and multiplies `credits`, until
    /// now those of one pack, by the quantity. If the quantities differ, nobody knows which of them
    /// belongs to the pack that the metadata names, so the smallest counts.
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

    /// Whether it tells what was bought. A payment for nothing known is not ours.
    pub fn is_of_something(&self) -> bool {
        self.pack.is_some() || self.credits.is_some() || !self.price_ids.is_empty()
    }
}
