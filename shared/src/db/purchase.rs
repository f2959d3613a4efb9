//! The sellers' facts about payments, and the packs that a user can buy.

use crate::core::id::UserId;
use crate::core::seller::PurchaseFact;

/// The changes made by a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedPurchase {
    pub granted: i64,
    pub taken: i64,
    /// Whether the fact told nothing new.
    pub replayed: bool,
    /// The reason why a payment that was made grants nothing.
    pub reason: Option<String>,
}

/// A pack as a seller sells it to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackForSale {
    pub pack: String,
    pub credits: i64,
    /// `None`: no seller has a price for it.
    pub price_id: Option<String>,
    pub recurring: bool,
    /// The user's own e-mail address, to be filled in.
    pub email: Option<String>,
}

row! {
    RecordedPurchase { granted, taken, replayed, reason as ? }
    PackForSale { pack, credits, price_id, recurring, email }
}

rpc! {
    row purchase_record_v1(seller: &str, fact: &PurchaseFact) -> RecordedPurchase;
    row purchase_checkout_v1(user_id: UserId, pack: &str) -> PackForSale;
}
