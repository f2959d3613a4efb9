//! The metadata that our checkout writes on a session, a payment and a subscription, and reads from
//! their events.

use serde_json::Value;

use super::fields::text;
use crate::core::id::UserId;
use crate::core::seller::PurchaseFact;

pub(super) const USER: &str = "unstuck_user";
pub(super) const PACK: &str = "unstuck_pack";
pub(super) const CREDITS: &str = "unstuck_credits";
pub(super) const DEPLOYMENT: &str = "unstuck_deployment";
/// The chosen price. A subscription may change its price while it keeps its metadata.
pub(super) const PRICE: &str = "unstuck_price";
/// An operator may set this to `true`, so that an invoice with a total of 0 or less grants credits
/// too.
const FREE: &str = "unstuck_free";

/// The owner of the metadata.
pub(super) enum Metadata<'a> {
    Ours(OurMetadata<'a>),
    /// Metadata of another deployment.
    Others,
    /// None of our metadata.
    None,
}

#[derive(Clone, Copy)]
pub(super) struct OurMetadata<'a>(&'a Value);

impl<'a> Metadata<'a> {
    /// Reads the first of these objects that has our metadata.
    pub(super) fn first_of(
        objects: impl IntoIterator<Item = Option<&'a Value>>,
        deployments: &[String],
    ) -> Self {
        for object in objects.into_iter().flatten() {
            let field = |name: &str| object.get(name).and_then(Value::as_str);
            match field(DEPLOYMENT) {
                Some(named) if deployments.iter().any(|known| known == named) => {
                    return Self::Ours(OurMetadata(object));
                }
                Some(_) => return Self::Others,
                None if field(USER).is_some() || field(PACK).is_some() => {
                    return Self::Ours(OurMetadata(object));
                }
                None => {}
            }
        }
        Self::None
    }
}

impl OurMetadata<'_> {
    pub(super) fn of_our_checkout(self) -> bool {
        self.0.get(DEPLOYMENT).is_some()
    }

    pub(super) fn user(self) -> Option<UserId> {
        UserId::parse(self.0.get(USER)?.as_str()?)
    }

    pub(super) fn price(self) -> Option<String> {
        text(self.0, &format!("/{PRICE}"))
    }

    pub(super) fn grants_free(self) -> bool {
        self.0.get(FREE).and_then(Value::as_str) == Some("true")
    }

    /// Writes user, pack and credits from the metadata into the fact.
    pub(super) fn add_to(self, fact: &mut PurchaseFact) {
        fact.user_id = self.user();
        fact.pack = text(self.0, &format!("/{PACK}"));
        let credits = self.0.get(CREDITS).and_then(Value::as_str);
        fact.credits =
            credits.and_then(|text| text.parse().ok()).filter(|credits: &i64| *credits > 0);
    }
}
