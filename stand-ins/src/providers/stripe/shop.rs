//! What the account sells and has sold: prices, checkout sessions, payments, and what happened to
//! these later.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock;

pub(super) type PaymentMetadata = BTreeMap<String, String>;

/// A price of the account. The local packs name its id.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Price {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) amount: u64,
    pub(super) recurring: bool,
}

const PRICES: [Price; 4] = [
    Price { id: "price_small", name: "100 credits", amount: 500, recurring: false },
    Price { id: "price_large", name: "500 credits", amount: 2_000, recurring: false },
    Price { id: "price_monthly", name: "300 credits a month", amount: 1_200, recurring: true },
    Price { id: "price_mug", name: "A mug", amount: 1_500, recurring: false },
];
/// The length of a period of a subscription.
pub(super) const PERIOD_S: u64 = 30 * 86_400;

impl Price {
    pub(super) fn of(id: &str) -> Option<&'static Self> {
        PRICES.iter().find(|price| price.id == id)
    }
}

#[derive(Clone, Debug)]
pub(super) struct CheckoutSession {
    pub(super) id: String,
    pub(super) price: &'static Price,
    pub(super) quantity: u64,
    pub(super) metadata: PaymentMetadata,
    /// The metadata of the payment or of the subscription.
    pub(super) inner_metadata: PaymentMetadata,
    pub(super) email: Option<String>,
    pub(super) client_reference_id: Option<String>,
    pub(super) success_url: Option<String>,
    pub(super) cancel_url: Option<String>,
    pub(super) payment_link: Option<String>,
    pub(super) created: u64,
    /// The payment that completed it.
    pub(super) paid_by: Option<Payment>,
}

impl CheckoutSession {
    pub(super) fn amount(&self) -> u64 {
        self.price.amount * self.quantity
    }
}

/// A payment with all its names.
#[derive(Clone, Debug)]
pub(super) struct Payment {
    pub(super) intent: String,
    pub(super) charge: String,
    pub(super) session: Option<String>,
    pub(super) billed: Option<Billed>,
    pub(super) price: &'static Price,
    pub(super) quantity: u64,
    pub(super) metadata: PaymentMetadata,
    pub(super) email: Option<String>,
    pub(super) created: u64,
    pub(super) refunds: Vec<Reversal>,
    pub(super) disputes: Vec<Reversal>,
}

/// The invoice that a payment of a subscription has paid.
#[derive(Clone, Debug)]
pub(super) struct Billed {
    pub(super) invoice: String,
    pub(super) subscription: String,
    pub(super) metadata: PaymentMetadata,
    pub(super) period_start: u64,
    pub(super) is_first: bool,
}

/// A refund or a dispute.
#[derive(Clone, Debug)]
pub(super) struct Reversal {
    pub(super) id: String,
    pub(super) amount: u64,
    pub(super) status: String,
    pub(super) created: u64,
}

impl Payment {
    /// Pays a session; for a subscription this is the first period.
    pub(super) fn of(session: &CheckoutSession) -> Self {
        let billed = session.price.recurring.then(|| Billed {
            invoice: new_id("in"),
            subscription: new_id("sub"),
            metadata: session.inner_metadata.clone(),
            period_start: clock::now_s(),
            is_first: true,
        });
        let metadata = match billed {
            Some(_) => PaymentMetadata::default(),
            None => session.inner_metadata.clone(),
        };
        Self {
            intent: new_id("pi"),
            charge: new_id("ch"),
            session: Some(session.id.clone()),
            billed,
            price: session.price,
            quantity: session.quantity,
            metadata,
            email: session.email.clone(),
            created: clock::now_s(),
            refunds: Vec::new(),
            disputes: Vec::new(),
        }
    }

    /// Pays the next period of the subscription.
    pub(super) fn renewed(&self) -> Option<Self> {
        let before = self.billed.clone()?;
        let billed = Billed {
            invoice: new_id("in"),
            period_start: before.period_start + PERIOD_S,
            is_first: false,
            ..before
        };
        Some(Self {
            intent: new_id("pi"),
            charge: new_id("ch"),
            session: None,
            billed: Some(billed),
            created: clock::now_s(),
            refunds: Vec::new(),
            disputes: Vec::new(),
            ..self.clone()
        })
    }

    pub(super) fn amount(&self) -> u64 {
        self.price.amount * self.quantity
    }

    /// The sum of the refunds that have not failed.
    pub(super) fn refunded(&self) -> u64 {
        let stands = |refund: &&Reversal| !["failed", "canceled"].contains(&&*refund.status);
        self.refunds.iter().filter(stands).map(|refund| refund.amount).sum()
    }

    fn is_named(&self, id: &str) -> bool {
        let billed = self.billed.as_ref();
        self.intent == id
            || self.charge == id
            || self.session.as_deref() == Some(id)
            || billed.is_some_and(|billed| billed.invoice == id || billed.subscription == id)
    }
}

pub(super) fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", clock::random_hex())
}

#[derive(Debug, Default)]
struct Books {
    sessions: HashMap<String, CheckoutSession>,
    payments: Vec<Payment>,
    /// The answer to each idempotency key, and the form that it answered.
    answers: HashMap<String, (String, u16, String)>,
}

#[derive(Debug, Default)]
pub(super) struct Shop(Mutex<Books>);

impl Shop {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self, session: CheckoutSession) {
        self.books().sessions.insert(session.id.clone(), session);
    }

    pub(super) fn session(&self, id: &str) -> Option<CheckoutSession> {
        self.books().sessions.get(id).cloned()
    }

    /// Completes an open session. `None` if there is none, or if it is paid already.
    pub(super) fn complete(&self, id: &str) -> Option<(CheckoutSession, Payment)> {
        let mut books = self.books();
        let session = books.sessions.get_mut(id).filter(|session| session.paid_by.is_none())?;
        let payment = Payment::of(session);
        session.paid_by = Some(payment.clone());
        let session = session.clone();
        books.payments.push(payment.clone());
        Some((session, payment))
    }

    /// Pays the next period of a subscription.
    pub(super) fn renew(&self, subscription: &str) -> Option<Payment> {
        let mut books = self.books();
        let last = books.payments.iter().rev().find(|payment| payment.is_named(subscription))?;
        let renewed = last.renewed()?;
        books.payments.push(renewed.clone());
        Some(renewed)
    }

    /// Changes the newest payment for which `is_meant` holds. Returns it as it is afterwards.
    pub(super) fn change<T>(
        &self,
        is_meant: impl Fn(&Payment) -> bool,
        change: impl FnOnce(&mut Payment) -> Result<T, String>,
    ) -> Result<(T, Payment), String> {
        let mut books = self.books();
        let found = books.payments.iter_mut().rev().find(|payment| is_meant(payment));
        let payment = found.ok_or("no such payment")?;
        let changed = change(payment)?;
        Ok((changed, payment.clone()))
    }

    pub(super) fn is_named(id: &str) -> impl Fn(&Payment) -> bool {
        move |payment| payment.is_named(id)
    }

    pub(super) fn answered(&self, key: &str) -> Option<(String, u16, String)> {
        self.books().answers.get(key).cloned()
    }

    pub(super) fn remember(&self, key: &str, form: String, status: u16, body: String) {
        self.books().answers.insert(key.to_owned(), (form, status, body));
    }
}
