//! Turns sellers' events about payments into facts that the database joins.
//!
//! A codec verifies the sender of an event and turns the event into a [`PurchaseFact`], or into the
//! reason why it grants nothing. It decides no amount, because only the database knows what was
//! granted before.

mod fact;
pub mod generic;
pub mod stripe;

pub use fact::{DisputeAt, PurchaseFact, RefundAt, RefundTotal, ShareAt};

/// The reason why a payment grants nothing if it names nothing of ours, such as a pack or a price.
pub const NOT_KNOWN_AS_OURS: &str = "not_known_as_ours";

/// The meaning of a seller's event.
#[derive(Debug, Clone, PartialEq)]
pub enum SellerEvent {
    Tells(Box<PurchaseFact>),
    /// A fact that lacks what was bought: only the line items of this checkout session tell it.
    TellsWithItems {
        fact: Box<PurchaseFact>,
        session: String,
    },
    /// It grants nothing, for this reason, which is logged. It is no fault.
    Nothing(&'static str),
    /// It was paid, but it cannot be determined what it grants. An operator has to look.
    Lost(&'static str),
}

impl SellerEvent {
    fn tells(fact: PurchaseFact) -> Self {
        Self::Tells(Box::new(fact))
    }
}
