//! Reads invoices: the first one of a subscription, its renewals, and the charges for changes in
//! between.

use serde_json::Value;

use super::fields::{id, keys, number, text};
use super::metadata::{Metadata, OurMetadata};
use super::object::{NOTHING_TO_GRANT, OTHER_DEPLOYMENT, ReadEvent, known};
use crate::core::seller::{NOT_KNOWN_AS_OURS, PurchaseFact, SellerEvent};
use crate::core::transport::decimal;

/// A paid invoice: a purchase of its own, for one period of its subscription.
pub(super) fn paid(event: &ReadEvent<'_>) -> SellerEvent {
    let invoice = event.object;
    let status = invoice.get("status").and_then(Value::as_str);
    if status.is_some_and(|status| status != "paid") {
        return SellerEvent::Nothing(NOTHING_TO_GRANT);
    }
    let lines: Vec<Line<'_>> = list(invoice.get("lines")).iter().map(Line).collect();
    let (ours, is_others) = match metadata(event, &lines) {
        Metadata::Ours(ours) => (Some(ours), false),
        Metadata::Others => (None, true),
        Metadata::None => (None, false),
    };
    if is_others {
        return SellerEvent::Nothing(OTHER_DEPLOYMENT);
    }
    let total = number(invoice, "/total").or(number(invoice, "/amount_paid"));
    if total.is_some_and(|total| total <= 0) && !ours.is_some_and(OurMetadata::grants_free) {
        return SellerEvent::Nothing("free_invoice");
    }
    let bought = bought(&lines, ours);
    let mut fact = event.fact(&["/id", "/payment_intent", "/charge"]);
    fact.keys = keys(
        std::mem::take(&mut fact.keys)
            .into_iter()
            .map(Some)
            .chain([period_key(invoice, if bought.is_empty() { &lines } else { &bought })])
            .chain(payments(invoice)),
    );
    fact.paid = true;
    fact.email = text(invoice, "/customer_email");
    fact.subscription = subscription(invoice);
    fact.amount = number(invoice, "/amount_paid").filter(|paid| *paid > 0).or(total);
    add_bought(&mut fact, &bought, ours);
    if lines.iter().any(|line| line.is_proration()) && !bought.is_empty() {
        match share(&bought, &lines) {
            Some(share) => fact.share = Some(share),
            None => return SellerEvent::Lost("share_unknown"),
        }
    }
    known(fact)
}

/// Connects an invoice to its payment: since API 2025-03-31 no invoice names it.
pub(super) fn payment(event: &ReadEvent<'_>) -> SellerEvent {
    let mut fact = event.fact(&["/invoice", "/payment/payment_intent", "/payment/charge"]);
    if event.object.get("status").and_then(Value::as_str) != Some("paid") {
        return SellerEvent::Nothing(NOTHING_TO_GRANT);
    }
    if fact.keys.len() < 2 {
        return SellerEvent::Nothing(NOT_KNOWN_AS_OURS);
    }
    fact.bound = true;
    SellerEvent::tells(fact)
}

fn list(object: Option<&Value>) -> &[Value] {
    let data = object.and_then(|list| list.get("data")).and_then(Value::as_array);
    data.map(Vec::as_slice).unwrap_or_default()
}

fn metadata<'a>(event: &ReadEvent<'a>, lines: &[Line<'a>]) -> Metadata<'a> {
    let invoice = event.object;
    let of_subscription = [
        invoice.pointer("/parent/subscription_details/metadata"),
        invoice.pointer("/subscription_details/metadata"),
        invoice.get("metadata"),
    ];
    let of_lines = lines.iter().map(|line| line.0.get("metadata"));
    Metadata::first_of(of_subscription.into_iter().chain(of_lines), event.reader.deployments)
}

fn payments(invoice: &Value) -> impl Iterator<Item = Option<String>> {
    list(invoice.get("payments"))
        .iter()
        .flat_map(|paid| [id(paid, "/payment/payment_intent"), id(paid, "/payment/charge")])
}

fn subscription(invoice: &Value) -> Option<String> {
    id(invoice, "/parent/subscription_details/subscription")
        .or_else(|| id(invoice, "/subscription"))
}

/// The key `<subscription>:<start>` of the period of one of these lines. A line for a change
/// belongs to no period.
fn period_key(invoice: &Value, lines: &[Line<'_>]) -> Option<String> {
    let subscription = subscription(invoice)?;
    let line = lines.iter().find(|line| !line.is_proration())?;
    Some(format!("{subscription}:{}", number(line.0, "/period/start")?))
}

/// One line of an invoice.
#[derive(Clone, Copy)]
struct Line<'a>(&'a Value);

impl Line<'_> {
    fn price(self) -> Option<String> {
        id(self.0, "/pricing/price_details/price").or_else(|| id(self.0, "/price"))
    }

    /// The subscription item of the line.
    fn item(self) -> Option<String> {
        id(self.0, "/parent/subscription_item_details/subscription_item")
            .or_else(|| id(self.0, "/subscription_item"))
    }

    fn quantity(self) -> i64 {
        number(self.0, "/quantity").filter(|quantity| *quantity > 0).unwrap_or(1)
    }

    fn amount(self) -> i64 {
        number(self.0, "/amount").unwrap_or(0)
    }

    fn is_proration(self) -> bool {
        let pointers = [
            "/proration",
            "/parent/subscription_item_details/proration",
            "/parent/invoice_item_details/proration",
        ];
        pointers.iter().any(|name| self.0.pointer(name).and_then(Value::as_bool) == Some(true))
    }

    /// The cost of the line for a whole period; a prorated line covers part of one. Since API
    /// 2025-03-31 such a line may give the prorated price in place of the price: then the cost is
    /// unknown.
    fn whole_cost(self) -> Option<f64> {
        if !self.is_proration() {
            return Some(self.cost());
        }
        let known = number(self.0, "/price/unit_amount").map(as_f64);
        let quantity = as_f64(self.quantity());
        known.map(|price| price * quantity).or_else(|| {
            let shown = decimal(&text(self.0, "/pricing/unit_amount_decimal")?)? * quantity;
            (shown > self.cost()).then_some(shown)
        })
    }

    fn cost(self) -> f64 {
        as_f64(self.amount())
    }
}

#[expect(clippy::cast_precision_loss, reason = "amounts of money are far below 2^52")]
fn as_f64(number: i64) -> f64 {
    number as f64
}

/// The lines that were bought: those of the period, or else the one line with the largest amount,
/// which is a change. If one of them has the price in our metadata, only that line counts.
fn bought<'a>(lines: &[Line<'a>], ours: Option<OurMetadata<'_>>) -> Vec<Line<'a>> {
    let is_bought = |line: &&Line<'_>| line.amount() > 0 && line.price().is_some();
    let mut bought: Vec<Line<'_>> =
        lines.iter().filter(|line| !line.is_proration()).filter(is_bought).copied().collect();
    if bought.is_empty() {
        let change = lines.iter().filter(is_bought).max_by_key(|line| line.amount());
        bought.extend(change);
    }
    if let Some(chosen) = ours.and_then(OurMetadata::price) {
        let of_price = bought.iter().find(|line| line.price().as_ref() == Some(&chosen)).copied();
        bought = of_price.map_or(bought, |line| vec![line]);
    }
    bought
}

fn add_bought(fact: &mut PurchaseFact, bought: &[Line<'_>], ours: Option<OurMetadata<'_>>) {
    if let Some(ours) = ours {
        ours.add_to(fact);
        let chosen = ours.price();
        let is_chosen = chosen.is_none() || bought.iter().any(|line| line.price() == chosen);
        if !is_chosen && !bought.is_empty() {
            (fact.pack, fact.credits) = (None, None);
        }
    }
    fact.set_bought(bought.iter().filter_map(|line| Some((line.price()?, line.quantity()))));
}

/// The cost of the bought lines, including the prorated changes that the same invoice bills or
/// credits, as a share of the cost of these lines for a whole period. It exceeds 1 if a higher
/// price began before the period. A change of an item that another line of the period bills does
/// not count. `None` if a line's whole cost is unknown or a sum is not positive.
fn share(bought: &[Line<'_>], lines: &[Line<'_>]) -> Option<f64> {
    let whole: f64 = bought.iter().map(|line| line.whole_cost()).sum::<Option<f64>>()?;
    let is_bought = |line: &Line<'_>| bought.iter().any(|own| std::ptr::eq(own.0, line.0));
    let (changes, period): (Vec<Line<'_>>, Vec<Line<'_>>) =
        lines.iter().partition(|line| line.is_proration());
    let (own, others): (Vec<Line<'_>>, Vec<Line<'_>>) = period.into_iter().partition(is_bought);
    let is_others =
        |line: &Line<'_>| line.item().is_some() && others.iter().any(|o| o.item() == line.item());
    let changes = changes.iter().filter(|line| !is_others(line));
    let cost: f64 = own.iter().chain(changes).map(|line| line.cost()).sum();
    // Rounded up to a billionth, so that a third of 300 credits does not become 99.
    (whole > 0.0 && cost > 0.0).then(|| (cost / whole * 1e9).ceil() / 1e9)
}
