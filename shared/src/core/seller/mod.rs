//! What sellers tell about payments, as facts that the database joins.
//!
//! A codec verifies who sent an event and turns it into a [`PurchaseFact`], or into the reason why
//! it grants nothing. It decides no amount: the database knows what was granted before.

mod fact;
pub mod generic;
pub mod stripe;

pub use fact::{DisputeAt, PurchaseFact, RefundAt, RefundTotal, ShareAt};

/// The reason why a payment that names nothing of ours, such as a pack or a price, grants nothing.
pub const NOT_KNOWN_AS_OURS: &str = "not_known_as_ours";

/// What a seller's event means here.
#[derive(Debug, Clone, PartialEq)]
pub enum SellerEvent {
    Tells(Box<PurchaseFact>),
    /// The same, but only the line items of this checkout session tell what was bought.
    TellsWithItems {
        fact: Box<PurchaseFact>,
        session: String,
    },
    /// It grants nothing, for a reason that stands in the log. It is no fault.
    Nothing(&'static str),
    /// It was paid, but what it grants cannot be determined: an operator has to look.
    Lost(&'static str),
}

impl SellerEvent {
    fn tells(fact: PurchaseFact) -> Self {
        Self::Tells(Box::new(fact))
    }
}
