//! A seller that signs by Standard Webhooks. It delivers each event until our function takes it, in
//! whatever order, and some of them twice.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::core::webhook::Signature;
use shared::flow::purchase::receive::receive;

use super::chance::Chance;
use super::functions::BACKGROUND_MS;
use super::plan::USERS;
use super::server::BEGIN_MS;
use super::transport::{Worker, within};
use super::world::{SimulatedWorld, user_of};
use crate::e2e::purchase::generic_signature;

/// Between two deliveries of an event that was not taken.
const RETRY_MS: u64 = 60_000;

/// A purchase of credits, and everything that its seller tells of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SoldCredits {
    pub number: u32,
    pub user: u32,
    /// Hundreds of credits, so that each share in percent is whole.
    pub hundreds: u32,
    pub events: Vec<SellerAct>,
}

/// One event, with the times of its deliveries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SellerAct {
    pub at_ms: u64,
    pub what: SellerTells,
    pub arrives_after_ms: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SellerTells {
    Paid,
    /// In all so far.
    Refunded {
        percent: u32,
    },
    Disputed,
    DisputeWon,
}

impl SoldCredits {
    pub fn new(chance: &mut Chance, number: u32, within_ms: u64) -> Self {
        let user = u32::try_from(chance.between(0, u64::from(USERS) - 1)).unwrap();
        let hundreds = u32::try_from(chance.between(1, 6)).unwrap();
        let mut at_ms = chance.between(0, within_ms);
        let mut told = vec![SellerTells::Paid];
        if chance.one_in(2) {
            let percent = u32::try_from(chance.between(1, 99)).unwrap();
            told.push(SellerTells::Refunded { percent });
            if chance.one_in(2) {
                told.push(SellerTells::Refunded { percent: 100 });
            }
        }
        if chance.one_in(3) {
            told.push(SellerTells::Disputed);
            if chance.one_in(2) {
                told.push(SellerTells::DisputeWon);
            }
        }
        let mut events = Vec::new();
        for what in told {
            let copies = if chance.one_in(4) { 2 } else { 1 };
            let arrives_after_ms = (0..copies).map(|_| chance.between(100, 900_000)).collect();
            events.push(SellerAct { at_ms, what, arrives_after_ms });
            at_ms += chance.between(1_000, 300_000);
        }
        Self { number, user, hundreds, events }
    }

    /// The seller's name of it.
    pub fn id(&self) -> String {
        format!("payment {}", self.number)
    }

    /// The credits that its user has of it after everything that was told.
    pub fn due(&self) -> i64 {
        let (mut kept, mut is_disputed) = (100, false);
        for event in &self.events {
            match event.what {
                SellerTells::Paid => {}
                SellerTells::Refunded { percent } => kept = 100 - i64::from(percent),
                SellerTells::Disputed => is_disputed = true,
                SellerTells::DisputeWon => is_disputed = false,
            }
        }
        if is_disputed { 0 } else { i64::from(self.hundreds) * kept }
    }

    fn body(&self, event: &SellerAct, seed: u64) -> Value {
        let (name, share) = match event.what {
            SellerTells::Paid => ("purchase.paid", None),
            SellerTells::Refunded { percent } => ("purchase.refunded", Some(percent)),
            SellerTells::Disputed => ("purchase.disputed", None),
            SellerTells::DisputeWon => ("purchase.dispute_won", None),
        };
        let mut data = json!({"id": self.id()});
        if event.what == SellerTells::Paid {
            data["userId"] = json!(user_of(seed, self.user));
            data["credits"] = json!(self.hundreds * 100);
        }
        if let Some(percent) = share {
            data["refundedShare"] = json!(f64::from(percent) / 100.0);
        }
        json!({"type": name, "timestamp": (BEGIN_MS + event.at_ms) / 1_000, "data": data})
    }
}

/// Begins the deliveries of everything that is told of a payment.
pub fn begin_payment(world: &Rc<SimulatedWorld>, payment: &SoldCredits) {
    for (number, event) in payment.events.iter().enumerate() {
        let body = payment.body(event, world.plan.seed).to_string();
        for (copy, after_ms) in event.arrives_after_ms.iter().enumerate() {
            let id = format!("{}, event {number}", payment.id());
            let name = format!("{id}, copy {copy}");
            let at_ms = event.at_ms + after_ms;
            world.state.borrow_mut().clients += 1;
            let (there, body) = (Rc::clone(world), body.clone());
            world.scheduler.spawn(&world.actor(name.clone()), async move {
                there.scheduler.sleep(at_ms).await;
                deliver(&there, &name, &id, &body).await;
                there.state.borrow_mut().clients -= 1;
            });
        }
    }
}

/// Delivers an event until it is taken.
async fn deliver(world: &Rc<SimulatedWorld>, name: &str, id: &str, body: &str) {
    for number in 0.. {
        let actor = world.actor(format!("{name}, delivery {number}"));
        if actor.between(1, 8) == 8 {
            actor.breaks_at.set(Some((0, actor.between(0, 1) == 1)));
        }
        let worker = Worker { world: Rc::clone(world), actor };
        let sent_s = i64::try_from((BEGIN_MS + world.now_ms()) / 1_000).expect("before 2262");
        let headers = Signature {
            id: id.to_owned(),
            timestamp: sent_s.to_string(),
            entries: generic_signature(id, sent_s, body),
            ..Signature::default()
        };
        let cx = worker.cx();
        let taken = within(world, BACKGROUND_MS, receive(&cx, "generic", &headers, body)).await;
        world.tell(format!("{name} is told: {taken:?}"));
        if matches!(taken, Some(Ok(_))) {
            world.met("seller's event taken");
            return;
        }
        world.met("seller's event refused");
        world.scheduler.sleep(RETRY_MS).await;
    }
}
