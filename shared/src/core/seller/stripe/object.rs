//! The object of an event, and the parts that all kinds of objects share.

use serde_json::Value;

use super::fields::{id, keys};
use super::metadata::Metadata;
use crate::core::seller::{NOT_KNOWN_AS_OURS, PurchaseFact, SellerEvent};

/// The deployment for which an event is read.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// Every name under which the deployment may have sold.
    pub deployments: &'a [String],
    /// Whether to ignore events of Stripe's test mode.
    pub live_only: bool,
}

pub(super) const NOTHING_TO_GRANT: &str = "nothing_to_grant";
pub(super) const OTHER_DEPLOYMENT: &str = "other_deployment";

/// An event's object, its type and its time.
pub(super) struct ReadEvent<'a> {
    pub(super) object: &'a Value,
    pub(super) kind: &'a str,
    pub(super) at: i64,
    pub(super) reader: Reader<'a>,
}

impl<'a> ReadEvent<'a> {
    /// A fact about the object's payment, with the ids at these pointers as its keys.
    pub(super) fn fact(&self, names: &[&str]) -> PurchaseFact {
        let keys = keys(names.iter().map(|name| id(self.object, name)));
        PurchaseFact { keys, at: self.at, ..PurchaseFact::default() }
    }

    pub(super) fn metadata(&self) -> Metadata<'a> {
        Metadata::first_of([self.object.get("metadata")], self.reader.deployments)
    }
}

/// Returns the fact. Ignores a payment that does not tell what was bought, because it is not ours.
pub(super) fn known(fact: PurchaseFact) -> SellerEvent {
    if !fact.is_of_something() {
        return SellerEvent::Nothing(NOT_KNOWN_AS_OURS);
    }
    SellerEvent::tells(fact)
}
