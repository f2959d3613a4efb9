//! Payments as a seller reports them: in whatever order and number its events arrive, each payment
//! grants once, and each refund takes back exactly its part.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::shop::{UPSCALER, with};
use unstuck_tests::{Database, Session};
use uuid::Uuid;

/// A database with packs and without purchases.
async fn shop() -> Database {
    let db = Database::open().await;
    db.exec(
        "insert into credit_packs (pack, credits, price_id, recurring, enabled, position, words)
         values ('small', 100, 'price_small', false, true, 1, '{\"en\": {\"name\": \"Small\"}}'),
           ('large', 500, 'price_large', false, true, 2, '{}'),
           ('monthly', 300, 'price_monthly', true, true, 3, '{}'),
           ('old', 70, 'price_old', false, false, 4, '{}')",
    )
    .await;
    db
}

/// A user who has signed up, with a confirmed e-mail address if one is given.
async fn sign_up(db: &Session, email: Option<&str>) -> Uuid {
    let user = Uuid::new_v4();
    let email = email.map_or("null".to_owned(), |email| format!("'{email}'"));
    db.exec(&format!("insert into auth.users values ('{user}', {email}, now(), now())")).await;
    user
}

fn args(fact: Value) -> Value {
    json!({ "p_seller": "shop", "p_fact": fact })
}

/// Records a fact. Returns the credits that were granted and those that were taken.
async fn tell(db: &Session, fact: Value) -> (i64, i64) {
    let answer = db.ask("purchase_record_v1", args(fact)).await;
    (answer["granted"].as_i64().unwrap(), answer["taken"].as_i64().unwrap())
}

/// A payment of 1000 for 100 credits.
fn paid(key: &str, user: Uuid) -> Value {
    json!({ "keys": [key], "paid": true, "userId": user, "pack": "small", "amount": 1000 })
}

fn refunded(key: &str, amount: i64, at: i64) -> Value {
    json!({ "keys": [key], "amount": 1000, "refundTotal": { "amount": amount, "at": at } })
}

fn disputed(key: &str, amount: i64, status: &str, at: i64) -> Value {
    json!({ "keys": [key], "amount": 1000,
        "disputes": { "dp_1": { "amount": amount, "status": status, "at": at } } })
}

async fn spend(db: &Session, user: Uuid, credits: i64) {
    assert_eq!(db.adjust("consume", user, credits, "spent").await["success"], true);
}

async fn debt(db: &Session, user: Uuid) -> i64 {
    db.int(&format!("select unstuck_private.debt_open('{user}')")).await
}

/// The user's balance and debt.
async fn holds(db: &Session, user: Uuid) -> (i64, i64) {
    (db.balance(user).await, debt(db, user).await)
}

/// The kinds and amounts of a user's entries.
async fn ledger(db: &Session, user: Uuid) -> Vec<(String, i64)> {
    let rows = db
        .rows(&format!(
            "select kind, amount from credit_entries where user_id = '{user}' order by id"
        ))
        .await;
    let entry =
        |row: &Value| (row["kind"].as_str().unwrap().to_owned(), row["amount"].as_i64().unwrap());
    rows.iter().map(entry).collect()
}

/// The facts of one payment of 2000 for 500 credits. A session, a payment and an invoice report it,
/// and only a later event tells that they are the same payment. Parts are refunded, one of these
/// refunds fails, and a dispute is won. In the end 500 of 2000 are refunded.
fn life(name: &str, user: Uuid) -> Vec<Value> {
    let key = |kind: &str| format!("{kind}_{name}");
    let charge = |more: Value| with(json!({ "keys": [key("ch")], "amount": 2000 }), more);
    let total = |amount: i64, at: i64| json!({ "refundTotal": { "amount": amount, "at": at } });
    let refund = |id: &str, amount: i64, status: &str, at: i64| {
        json!({ "keys": [key("ch")],
            "refunds": { key(id): { "amount": amount, "status": status, "at": at } } })
    };
    let dispute = |id: &str, status: &str, at: i64| {
        charge(json!({ "disputes": { key(id): { "amount": 600, "status": status, "at": at } } }))
    };
    vec![
        json!({ "keys": [key("cs"), key("pi")], "paid": true, "userId": user, "pack": "large",
            "at": 1 }),
        json!({ "keys": [key("pi"), key("ch")], "paid": true, "amount": 2000, "at": 2 }),
        charge(json!({ "paid": true, "email": "Ann@Example.com" })),
        json!({ "keys": [key("in")], "paid": true, "priceIds": ["price_large"], "userId": user }),
        json!({ "keys": [key("in"), key("ch")], "bound": true }),
        charge(total(300, 10)),
        refund("re_1", 300, "succeeded", 10),
        charge(total(800, 20)),
        refund("re_2", 500, "pending", 20),
        refund("re_2", 500, "failed", 30),
        dispute("dp_1", "open", 40),
        dispute("dp_1", "won", 50),
        dispute("dp_2", "warning", 60),
        refund("re_3", 200, "succeeded", 70),
        charge(total(500, 70)),
    ]
}

const DUE_OF_LIFE: i64 = 375;

/// The facts of an invoice of 3600 for three subscriptions that became dearer in the period before,
/// for a third more than 900 credits. Two charges paid it. Of one, 900 are refunded in two parts.
/// Of the other, 600 are refunded without a total, one more refund fails, and 360 are lost to a
/// dispute.
fn upgrade(name: &str, user: Uuid) -> Vec<Value> {
    let key = |kind: &str| format!("{kind}_{name}");
    let total = |charge: &str, amount: i64, at: i64| {
        json!({ "keys": [key(charge)],
            "refundTotal": { "charge": key(charge), "amount": amount, "at": at } })
    };
    let refund = |id: &str, charge: &str, amount: i64, status: &str, at: i64| {
        let told = json!({ "charge": key(charge), "amount": amount, "status": status, "at": at });
        json!({ "keys": [key(charge)], "refunds": { key(id): told } })
    };
    let dispute = |status: &str, at: i64| {
        let told = json!({ "amount": 360, "status": status, "at": at });
        json!({ "keys": [key("ch_b")], "disputes": { key("dp"): told } })
    };
    vec![
        json!({ "keys": [key("cs"), key("in")], "bound": true, "userId": user }),
        json!({ "keys": [key("in"), key("sub:1")], "paid": true, "amount": 3600,
            "priceIds": ["price_monthly"], "quantity": 3, "share": 1.333_333_334 }),
        json!({ "keys": [key("in"), key("ch_a")], "bound": true }),
        json!({ "keys": [key("in"), key("ch_b")], "bound": true }),
        json!({ "keys": [key("ch_a")], "paid": true, "amount": 1200 }),
        json!({ "keys": [key("ch_b")], "paid": true, "amount": 2400 }),
        refund("re_1", "ch_a", 300, "succeeded", 10),
        total("ch_a", 300, 10),
        refund("re_2", "ch_a", 600, "pending", 20),
        refund("re_2", "ch_a", 600, "succeeded", 30),
        total("ch_a", 900, 30),
        refund("re_3", "ch_b", 500, "pending", 15),
        total("ch_b", 500, 15),
        refund("re_3", "ch_b", 500, "failed", 40),
        refund("re_4", "ch_b", 600, "succeeded", 50),
        dispute("open", 55),
        dispute("lost", 60),
    ]
}

/// The facts of a payment of 4000 for three small packs and a large one, of which a quarter is
/// refunded.
fn basket(name: &str, user: Uuid) -> Vec<Value> {
    let key = |kind: &str| format!("{kind}_{name}");
    let sold = |more: Value| {
        let items = json!({ "keys": [key("cs"), key("pi")], "userId": user, "amount": 4000,
            "priceIds": ["price_small", "price_large"],
            "quantities": { "price_small": 3, "price_large": 1 } });
        with(items, more)
    };
    vec![
        sold(json!({})),
        sold(json!({ "paid": true })),
        json!({ "keys": [key("pi"), key("ch")], "paid": true, "amount": 4000 }),
        json!({ "keys": [key("ch")],
            "refundTotal": { "charge": key("ch"), "amount": 400, "at": 1 } }),
        json!({ "keys": [key("ch"), key("pi")],
            "refundTotal": { "charge": key("ch"), "amount": 1000, "at": 2 } }),
    ]
}

type PurchaseLife = fn(&str, Uuid) -> Vec<Value>;

/// The facts of a payment, the credits that are due of it in the end, and the number of orders in
/// which the facts are recorded.
const LIVES: [(PurchaseLife, i64, usize); 3] =
    [(life, DUE_OF_LIFE, 500), (upgrade, 580, 100), (basket, 600, 50)];

/// The facts in another order, some of them twice.
fn shuffled(facts: &[Value], runner: &mut TestRunner) -> Vec<Value> {
    let twice = proptest::collection::vec(any::<bool>(), facts.len());
    let twice = twice.new_tree(runner).unwrap().current();
    let repeated = facts.iter().zip(twice).filter(|(_, twice)| *twice);
    let all: Vec<Value> = facts.iter().chain(repeated.map(|(fact, _)| fact)).cloned().collect();
    Just(all).prop_shuffle().new_tree(runner).unwrap().current()
}

/// Records the facts in this order. In every other round the user spends most of the balance
/// meanwhile. Returns the row of the purchase.
async fn live(
    db: &Database,
    round: usize,
    (life, due): (PurchaseLife, i64),
    order: &[Value],
) -> Value {
    let user = order.iter().find_map(|fact| fact["userId"].as_str()).unwrap();
    let user: Uuid = user.parse().unwrap();
    let mut spent = 0;
    for fact in order {
        tell(db, fact.clone()).await;
        let there = db.balance(user).await;
        if round % 2 == 1 && there > 20 {
            spend(db, user, there - 20).await;
            spent += there - 20;
        }
    }
    let expected = ((due - spent).max(0), (spent - due).max(0));
    assert_eq!(holds(db, user).await, expected, "round {round}: {order:#?}");
    for fact in life(&round.to_string(), user).into_iter().filter(|_| round.is_multiple_of(10)) {
        let answer = db.ask("purchase_record_v1", args(fact)).await;
        let nothing = json!({ "granted": 0, "taken": 0, "replayed": true, "user_id": user,
            "reason": null });
        assert_eq!(answer, nothing, "round {round}");
    }
    assert_eq!(holds(db, user).await, expected, "round {round}: told once more");
    let purchase = db
        .row(&format!(
            "select pack, email, credits, granted, taken, waits, cardinality(keys) as keys, facts
            from purchases where user_id = '{user}'"
        ))
        .await;
    let plain = purchase.to_string().replace(&user.to_string(), "user");
    plain.replace(&format!("_{round}\""), "\"").into()
}

#[tokio::test]
async fn every_order_of_the_facts_of_a_payment_ends_exact_and_equal() {
    let db = shop().await;
    let mut runner = TestRunner::deterministic();
    let mut ends = std::collections::BTreeSet::new();
    let lives = LIVES.iter().flat_map(|(life, due, rounds)| vec![(*life, *due); *rounds]);
    for (round, (life, due)) in lives.enumerate() {
        let user = sign_up(&db, None).await;
        let order = shuffled(&life(&round.to_string(), user), &mut runner);
        ends.insert(live(&db, round, (life, due), &order).await.to_string());
    }
    assert_eq!(ends.len(), LIVES.len(), "{ends:#?}");
    assert_eq!(db.count("purchases").await, 650);
    assert_eq!(db.int("select unstuck_private.audit_everything()").await, 0);
    db.assert_healthy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_told_at_the_same_moment_end_exact_and_equal() {
    let db = shop().await;
    let sessions = db.sessions(6).await;
    let mut runner = TestRunner::deterministic();
    for round in 0..15 {
        let (one, other) = (sign_up(&db, None).await, sign_up(&db, None).await);
        let mut facts = life(&round.to_string(), one);
        // One event names another user.
        facts.push(json!({ "keys": [format!("pi_{round}")], "userId": other }));
        let tellers = sessions.iter().map(|session| {
            let order = shuffled(&facts, &mut runner);
            async move {
                for fact in order {
                    tell(session, fact).await;
                }
            }
        });
        futures::future::join_all(tellers).await;
        let (owner, nobody) = (one.min(other), one.max(other));
        assert_eq!(holds(&db, owner).await, (DUE_OF_LIFE, 0), "round {round}");
        assert_eq!(holds(&db, nobody).await, (0, 0), "round {round}");
        assert_eq!(db.count("purchases").await, round + 1);
    }
    db.assert_healthy().await;
}

#[tokio::test]
async fn each_payment_grants_once_by_whatever_number_of_events() {
    let db = shop().await;
    let user = sign_up(&db, None).await;
    let answer = db.ask("purchase_record_v1", args(paid("pi_1", user))).await;
    let granted = json!({ "granted": 100, "taken": 0, "replayed": false, "user_id": user,
        "reason": null });
    assert_eq!(answer, granted);
    let answer = db.ask("purchase_record_v1", args(paid("pi_1", user))).await;
    assert_has!(answer, { "granted": 0, "taken": 0, "replayed": true });
    // The same payment gets a second name: the name is recorded, and nothing is granted.
    let named = with(paid("pi_1", user), json!({ "keys": ["pi_1", "cs_1"] }));
    let answer = db.ask("purchase_record_v1", args(named)).await;
    assert_has!(answer, { "granted": 0, "replayed": false });
    assert_eq!(tell(&db, paid("cs_1", user)).await, (0, 0));
    // Another payment grants, and so does the same key of another seller.
    assert_eq!(tell(&db, paid("pi_2", user)).await, (100, 0));
    let elsewhere = json!({ "p_seller": "other", "p_fact": paid("pi_1", user) });
    assert_eq!(db.ask("purchase_record_v1", elsewhere).await["granted"], 100);
    assert_eq!(db.balance(user).await, 300);
    let entry = db
        .row(
            "select e.kind, e.amount, e.reason, e.actor, p.seller, p.granted
            from credit_entries e join purchases p on p.id = e.purchase_id order by e.id limit 1",
        )
        .await;
    let expected = json!({ "kind": "purchase", "amount": 100, "reason": "small",
        "actor": "seller:shop", "seller": "shop", "granted": 100 });
    assert_eq!(entry, expected);
    db.assert_healthy().await;
}

#[tokio::test]
async fn two_granted_payments_that_prove_to_be_one_keep_one_grant() {
    let db = shop().await;
    let (user, poor) = (sign_up(&db, None).await, sign_up(&db, None).await);
    for (user, name) in [(user, "a"), (poor, "b")] {
        let key = |kind: &str| format!("{kind}_{name}");
        assert_eq!(tell(&db, paid(&key("in"), user)).await, (100, 0));
        assert_eq!(tell(&db, paid(&key("pi"), user)).await, (100, 0));
        if name == "b" {
            spend(&db, user, 150).await;
        }
        let both = json!({ "keys": [key("in"), key("pi")], "bound": true });
        assert_eq!(tell(&db, both).await, (0, 100));
        assert_eq!(tell(&db, refunded(&key("in"), 1000, 5)).await, (0, 100));
    }
    assert_eq!(holds(&db, user).await, (0, 0));
    assert_eq!(holds(&db, poor).await, (0, 150));
    assert_eq!(db.count("purchases").await, 2);
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_refund_takes_its_part_and_one_that_fails_gives_it_back() {
    let db = shop().await;
    let user = sign_up(&db, None).await;
    // A refund arrives before its payment.
    assert_eq!(tell(&db, refunded("pi_0", 250, 7)).await, (0, 0));
    assert_eq!(tell(&db, paid("pi_0", user)).await, (75, 0));
    tell(&db, paid("pi_1", user)).await;
    for (amount, at, change) in [(333, 10, (0, 33)), (667, 20, (0, 33)), (333, 15, (0, 0))] {
        assert_eq!(tell(&db, refunded("pi_1", amount, at)).await, change, "{amount} at {at}");
    }
    let refund = |id: &str, amount: i64, status: &str, at: i64| {
        json!({ "keys": ["pi_1"],
            "refunds": { id: { "amount": amount, "status": status, "at": at } } })
    };
    // A refund that fails after the total was reported is no part of that total, whatever older
    // fact arrives later.
    assert_eq!(tell(&db, refund("re_1", 333, "failed", 30)).await, (33, 0));
    assert_eq!(tell(&db, refund("re_1", 333, "pending", 40)).await, (0, 0));
    // A whole refund takes all that is left.
    assert_eq!(tell(&db, refunded("pi_1", 1000, 50)).await, (0, 67));
    assert_eq!(
        tell(&db, disputed("pi_1", 1000, "open", 60)).await,
        (0, 0),
        "at most the whole purchase is taken"
    );
    assert_eq!(tell(&db, disputed("pi_1", 1000, "won", 70)).await, (0, 0));
    assert_eq!(db.balance(user).await, 75);
    // Other sellers report the refunded share.
    tell(&db, paid("order", user)).await;
    let share = |share: f64, at: i64| {
        let told = json!({ "share": share, "at": at });
        json!({ "keys": ["order"], "refundedShare": told })
    };
    assert_eq!(tell(&db, share(1.0 / 3.0, 5)).await, (0, 33));
    assert_eq!(tell(&db, share(1.0, 6)).await, (0, 67));
    assert_eq!(tell(&db, share(0.5, 7)).await, (50, 0));
    db.assert_healthy().await;
}

#[tokio::test]
async fn what_is_no_longer_there_is_a_debt_until_it_is_paid_or_given_back() {
    let db = shop().await;
    db.set_tool(UPSCALER, "credit_cost = 70").await;
    let user = sign_up(&db, None).await;
    tell(&db, paid("pi_1", user)).await;
    let job = db.order(user, UPSCALER, 1).await;
    assert_eq!(tell(&db, disputed("pi_1", 1000, "open", 1)).await, (0, 100));
    assert_eq!(holds(&db, user).await, (0, 70));
    // The refund of a job does not allow an order either, while there is a debt.
    db.cancel(user, job).await.unwrap();
    let refused = db.enqueue(user, Uuid::new_v4(), UPSCALER, 1).await.unwrap_err();
    assert_eq!(refused.reason(), ("PT402", "insufficient_credits"));
    assert_eq!(refused.detail, json!({ "balance": 70, "required": 70, "debt": 70 }));
    let quote = json!({ "p_tool": UPSCALER, "p_input": {}, "p_steps": 1, "p_user_id": user });
    let quoted = db.ask("order_quote_v1", quote).await;
    assert_has!(quoted, { "credits": 70, "balance": 70, "enough": false });
    // Every grant first pays the debt, the oldest one first, in the same transaction.
    spend(&db, user, 65).await;
    db.grant(user, 10).await;
    assert_eq!(holds(&db, user).await, (0, 55));
    db.insert_entry(user, None, "goodwill", 5).await;
    db.insert_entry(user, None, "bonus", 10).await;
    assert_eq!(holds(&db, user).await, (0, 40));
    // Credits that come back to a purchase first lower the debt.
    assert_eq!(tell(&db, disputed("pi_1", 1000, "won", 2)).await, (100, 0));
    assert_eq!(holds(&db, user).await, (60, 0));
    assert_eq!(tell(&db, refunded("pi_1", 1000, 3)).await, (0, 100));
    assert_eq!(holds(&db, user).await, (0, 40));
    assert_eq!(tell(&db, paid("pi_2", user)).await, (100, 0));
    assert_eq!(holds(&db, user).await, (60, 0));
    db.enqueue(user, Uuid::new_v4(), UPSCALER, 1).await.unwrap_err();
    db.grant(user, 10).await;
    db.order(user, UPSCALER, 1).await;
    let actors = db.texts("select distinct actor from credit_entries order by 1").await;
    assert_eq!(actors, ["postgres", "seller:shop", "service", "user"]);
    let debts = db.rows("select amount, settled from credit_debts order by created_at").await;
    let debt = |amount: i64| json!({ "amount": amount, "settled": amount });
    assert_eq!(debts, [debt(30), debt(40)]);
    db.assert_healthy().await;
}

#[tokio::test]
async fn what_was_bought_is_the_packs_share_and_quantity_as_they_were_then() {
    let db = shop().await;
    db.exec(
        "insert into credit_packs (pack, credits, price_id) values ('by_link', 120, 'plink_1')",
    )
    .await;
    let user = sign_up(&db, None).await;
    for (key, more, credits) in [
        ("1", json!({ "pack": "large" }), 500),
        ("2", json!({ "priceIds": ["price_small"], "quantity": 3 }), 300),
        ("3", json!({ "priceIds": ["price_small", "price_large", "unknown"] }), 600),
        ("4", json!({ "pack": "monthly", "priceIds": ["price_small"], "share": 0.3333 }), 99),
        ("5", json!({ "pack": "small", "credits": 7 }), 7),
        ("6", json!({ "pack": "old" }), 70),
        ("7", json!({ "pack": "unknown", "priceIds": ["price_old"] }), 70),
        ("8", json!({ "pack": "unknown", "priceIds": [] }), 0),
        ("9", json!({}), 0),
        ("10", json!({ "credits": 100, "share": 0, "quantity": 4 }), 0),
        // A dearer subscription, which the next invoice bills.
        ("12", json!({ "pack": "monthly", "share": 1.333_333_334 }), 400),
        (
            "13",
            json!({ "priceIds": ["price_small", "price_large"],
                "quantities": { "price_small": 3, "price_large": 1 } }),
            800,
        ),
        // A payment link that is a pack, and one that is known by what it sold.
        ("14", json!({ "link": "plink_1", "priceIds": ["price_small"] }), 120),
        ("15", json!({ "link": "plink_2", "priceIds": ["price_small"] }), 100),
    ] {
        let fact = with(json!({ "keys": [key], "paid": true, "userId": user }), more);
        assert_eq!(tell(&db, fact).await, (credits, 0), "{key}");
    }
    // One event reports the payment, another one its quantity.
    tell(&db, json!({ "keys": ["11"], "paid": true, "pack": "small" })).await;
    tell(&db, json!({ "keys": ["11"], "quantity": 2 })).await;
    assert_eq!(tell(&db, json!({ "keys": ["11"], "userId": user })).await, (200, 0));
    assert_eq!(tell(&db, json!({ "keys": ["11"], "credits": 30 })).await, (0, 170));
    // A later price counts for later payments only. A pack that is added late is granted when the
    // payment is reported once more.
    db.exec(
        "update credit_packs set credits = 1 where pack = 'large';
         delete from credit_packs where pack = 'old';
         insert into credit_packs (pack, credits) values ('unknown', 9)",
    )
    .await;
    assert_eq!(tell(&db, refunded("1", 500, 1)).await, (0, 250));
    assert_eq!(tell(&db, refunded("6", 500, 1)).await, (0, 35));
    let late = json!({ "keys": ["8"], "paid": true, "userId": user, "pack": "unknown",
        "priceIds": [] });
    assert_eq!(tell(&db, late).await, (9, 0));
    db.assert_healthy().await;
}

#[tokio::test]
async fn each_period_of_a_subscription_is_a_purchase_of_its_own() {
    let db = shop().await;
    let user = sign_up(&db, None).await;
    let session = json!({ "keys": ["cs_1", "in_1"], "bound": true, "userId": user });
    let period = |invoice: &str, begin: i64, more: Value| {
        let keys = json!([invoice, format!("sub_1:{begin}")]);
        with(json!({ "keys": keys, "paid": true, "priceIds": ["price_monthly"] }), more)
    };
    assert_eq!(tell(&db, period("in_1", 1000, json!({}))).await, (0, 0), "nobody's yet");
    assert_eq!(tell(&db, session).await, (300, 0));
    assert_eq!(tell(&db, period("in_2", 2000, json!({ "userId": user }))).await, (300, 0));
    let half = period("in_3", 2500, json!({ "userId": user, "share": 0.5 }));
    assert_eq!(tell(&db, half).await, (150, 0));
    assert_eq!(db.count("purchases").await, 3);
    assert_eq!(db.balance(user).await, 750);
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_renewal_is_of_the_user_who_was_named_with_the_subscription() {
    let db = shop().await;
    let (user, payer) = (sign_up(&db, None).await, sign_up(&db, Some("b@y.example")).await);
    let period = |invoice: &str, subscription: &str| {
        json!({ "keys": [invoice], "paid": true, "priceIds": ["price_monthly"],
            "subscription": subscription, "email": "b@y.example" })
    };
    let session = json!({ "keys": ["cs_1", "in_1"], "bound": true, "userId": user,
        "subscription": "sub_1" });
    tell(&db, session).await;
    for invoice in ["in_1", "in_2", "in_3"] {
        assert_eq!(tell(&db, period(invoice, "sub_1")).await, (300, 0));
    }
    assert_eq!((db.balance(user).await, db.balance(payer).await), (900, 0));
    // Nobody was named with this one, and another seller's subscription is another one.
    assert_eq!(tell(&db, period("in_4", "sub_2")).await, (300, 0));
    let elsewhere = json!({ "p_seller": "other", "p_fact": period("in_5", "sub_1") });
    assert_eq!(db.ask("purchase_record_v1", elsewhere).await["user_id"], json!(payer));
    assert_eq!((db.balance(user).await, db.balance(payer).await), (900, 600));
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_purchase_waits_for_its_user() {
    let db = shop().await;
    let email = |key: &str, email: &str| {
        let sold = json!({ "paid": true, "pack": "small", "email": email });
        with(sold, json!({ "keys": [key] }))
    };
    // At first nobody has this address, then a user has it unconfirmed, then confirmed.
    assert_eq!(tell(&db, email("1", "Ann@example.com")).await, (0, 0));
    let ann = sign_up(&db, Some("ANN@example.com")).await;
    db.exec("update auth.users set email_confirmed_at = null").await;
    assert_eq!(tell(&db, email("2", " ann@example.COM")).await, (0, 0));
    let order = async || db.enqueue(ann, Uuid::new_v4(), UPSCALER, 1).await;
    assert_eq!(order().await.unwrap_err().detail, json!({ "balance": 0, "required": 60 }));
    db.exec("update auth.users set email_confirmed_at = now()").await;
    assert_has!(order().await.unwrap(), { "credits_charged": 60, "balance": 140 });
    assert_eq!(
        tell(&db, email("3", "ann@example.com")).await,
        (100, 0),
        "the confirmed user gets the credits at once"
    );
    assert_eq!(db.count("purchases where waits").await, 0);

    // A fact names a user who does not exist yet: only that user gets the credits.
    let late = Uuid::new_v4();
    assert_eq!(tell(&db, paid("4", late)).await, (0, 0));
    assert_eq!(db.count(&format!("purchases where waits and user_id = '{late}'")).await, 1);
    assert_eq!(db.count("credit_accounts").await, 1);
    let held = db.connect().await;
    held.exec("begin; select 1 from purchases where waits for update").await;
    db.enqueue(late, Uuid::new_v4(), UPSCALER, 1).await.unwrap_err();
    held.exec("rollback").await;
    assert_eq!(db.enqueue(late, Uuid::new_v4(), UPSCALER, 1).await.unwrap()["balance"], 40);
    // The user whom a fact names gets the purchase, before the owner of the address.
    let named = sign_up(&db, None).await;
    assert_eq!(tell(&db, json!({ "keys": ["3"], "userId": named })).await, (100, 100));
    assert_eq!((db.balance(ann).await, db.balance(named).await), (140, 100));
    db.assert_healthy().await;
}

/// Rows that are written by hand, with the columns of the contract.
#[tokio::test]
async fn a_debit_by_hand_takes_what_waited_for_its_user() {
    let db = shop().await;
    let user = Uuid::new_v4();
    assert_eq!(tell(&db, paid("1", user)).await, (0, 0));
    let debit = format!(
        "insert into credit_entries (user_id, kind, amount, reason)
        values ('{user}', 'debit', -70, 'x')"
    );
    db.exec(&debit).await;
    assert_eq!(db.balance(user).await, 30);
    assert_eq!(db.try_exec(&debit).await.unwrap_err().message, "insufficient_credits");
    db.exec("insert into purchases (seller, keys) values ('x', '{k}')").await;
    let named = "select ids = array[id] from purchases where seller = 'x'";
    assert_eq!(db.value(named).await, true);
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_heal_gives_what_waits_so_that_it_stays_when_the_order_is_refused() {
    let db = shop().await;
    db.exec("insert into signup_bonus (credits) values (50)").await;
    let quote = async |user: Uuid| {
        let args = json!({ "p_tool": UPSCALER, "p_input": {}, "p_steps": 1, "p_user_id": user });
        db.ask("order_quote_v1", args).await
    };
    let heal = async |user: Uuid| db.ask("user_heal_v1", json!({ "p_user_id": user })).await;
    let page = db.connect().await;
    let user = sign_up(&db, Some("ann@example.com")).await;
    page.become_caller("authenticated", Some(user)).await;
    let told = async || page.row("select * from my_balance").await;
    // The bonus for the sign-up is less than the price.
    assert_has!(quote(user).await, { "balance": 0, "enough": false, "waits": true });
    assert_eq!(told().await, json!({ "balance": 0, "debt": 0, "waits": true }));
    db.enqueue(user, Uuid::new_v4(), UPSCALER, 1).await.unwrap_err();
    assert_eq!(db.balance(user).await, 0, "a refusal leaves nothing behind");
    for _ in 0..2 {
        heal(user).await;
        assert_has!(quote(user).await, { "balance": 50, "enough": false, "waits": false });
    }
    // A purchase whose address is confirmed later.
    db.exec("update auth.users set email_confirmed_at = null").await;
    let bought = json!({ "keys": ["1"], "paid": true, "pack": "small",
        "email": "ann@example.com" });
    assert_eq!(tell(&db, bought).await, (0, 0));
    assert_eq!(quote(user).await["waits"], false, "the address is not confirmed");
    db.exec("update auth.users set email_confirmed_at = now()").await;
    assert_has!(quote(user).await, { "balance": 50, "enough": false, "waits": true });
    db.ask("user_active_v1", json!({ "p_user_id": user })).await;
    assert_has!(quote(user).await, { "balance": 150, "enough": true, "waits": false });
    assert_eq!(told().await, json!({ "balance": 150, "debt": 0, "waits": false }));
    // For a user for whom nothing waits, nothing is written.
    let stranger = Uuid::new_v4();
    heal(stranger).await;
    assert_eq!(quote(stranger).await["waits"], false);
    assert_eq!(db.count("credit_accounts").await, 1);
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_pack_gives_what_it_gave_when_the_payment_named_it_first() {
    let db = shop().await;
    let user = sign_up(&db, None).await;
    let by_price = |key: &str| {
        json!({ "keys": [key], "paid": true, "priceIds": ["price_small"], "userId": user,
            "email": "ann@example.com" })
    };
    tell(&db, paid("1", user)).await;
    tell(&db, by_price("2")).await;
    for (credits, other) in [(170, "3"), (40, "4")] {
        let change = format!("update credit_packs set credits = {credits} where pack = 'small'");
        db.exec(&change).await;
        // A second event of the same payment, and another payment that turns out to be the same.
        assert_eq!(tell(&db, by_price("1")).await, (0, 0), "{credits}");
        assert_eq!(tell(&db, paid("2", user)).await, (0, 0), "{credits}");
        assert_eq!(tell(&db, by_price(other)).await, (credits, 0));
        assert_eq!(tell(&db, json!({ "keys": ["1", other], "bound": true })).await, (0, credits));
    }
    assert_eq!(db.balance(user).await, 200);
    assert_eq!(tell(&db, paid("5", user)).await, (40, 0), "later payments");
    db.assert_healthy().await;
}

#[tokio::test]
async fn the_refunds_of_several_charges_of_a_payment_add_up() {
    let db = shop().await;
    let user = sign_up(&db, None).await;
    let total = |charge: &str, amount: i64, at: i64| {
        json!({ "keys": ["in_1", charge], "amount": 500,
            "refundTotal": { "charge": charge, "amount": amount, "at": at } })
    };
    tell(&db, paid("in_1", user)).await;
    assert_eq!(tell(&db, total("ch_1", 200, 10)).await, (0, 20));
    assert_eq!(tell(&db, total("ch_2", 300, 20)).await, (0, 30));
    assert_eq!(tell(&db, total("ch_1", 400, 15)).await, (0, 20));
    assert_eq!(tell(&db, total("ch_2", 100, 19)).await, (0, 0), "told late");
    // A failed refund lowers the total of its own charge.
    let failed = |refund: &str, charge: &str, amount: i64| {
        let told = json!({ "charge": charge, "amount": amount, "status": "failed", "at": 30 });
        json!({ "keys": [charge], "refunds": { refund: told } })
    };
    assert_eq!(tell(&db, failed("re_1", "ch_1", 400)).await, (40, 0));
    assert_eq!(tell(&db, failed("re_2", "ch_1", 400)).await, (0, 0));
    assert_eq!(tell(&db, failed("re_3", "ch_2", 100)).await, (10, 0));
    // A total without a charge counts the same refunds.
    assert_eq!(tell(&db, refunded("in_1", 300, 20)).await, (0, 0));
    // Of one charge a refund is reported, of the second a total, of the third both.
    let succeeded = |charge: &str, amount: i64| {
        let told = json!({ "charge": charge, "amount": amount, "status": "succeeded", "at": 40 });
        json!({ "keys": [charge], "refunds": { format!("re_{charge}_{amount}"): told } })
    };
    assert_eq!(tell(&db, succeeded("ch_1", 100)).await, (0, 10));
    assert_eq!(tell(&db, total("ch_3", 150, 40)).await, (0, 15));
    assert_eq!(tell(&db, succeeded("ch_3", 150)).await, (0, 0));
    assert_eq!(db.balance(user).await, 55);
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_paid_purchase_that_gives_nothing_says_why() {
    let db = shop().await;
    let user = sign_up(&db, None).await;
    for (fact, reason) in [
        (json!({ "keys": ["1"], "paid": true, "userId": user, "pack": "none" }), "unknown_pack"),
        (json!({ "keys": ["2"], "paid": true, "priceIds": ["price_of_hats"] }), "unknown_pack"),
        (paid("3", Uuid::new_v4()), "waits_for_user"),
    ] {
        let answer = db.ask("purchase_record_v1", args(fact)).await;
        assert_has!(answer, { "granted": 0, "reason": reason });
    }
    for fact in [paid("4", user), refunded("4", 1000, 1), refunded("5", 1000, 1)] {
        assert_eq!(db.ask("purchase_record_v1", args(fact)).await["reason"], Value::Null);
    }
    db.assert_healthy().await;
}

#[tokio::test]
async fn where_users_cannot_be_read_a_user_id_is_enough_and_an_address_waits() {
    let db = shop().await;
    db.exec("insert into signup_bonus (credits) values (50); drop table auth.users").await;
    let user = Uuid::new_v4();
    assert_eq!(tell(&db, paid("1", user)).await, (100, 0));
    let other = json!({ "keys": ["2"], "paid": true, "pack": "small", "email": "a@example.com" });
    assert_eq!(tell(&db, other).await, (0, 0));
    db.order(user, UPSCALER, 1).await;
    let offer =
        db.ask("purchase_checkout_v1", json!({ "p_user_id": user, "p_pack": "small" })).await;
    assert_eq!(offer["email"], Value::Null);
    assert_eq!(db.balance(user).await, 40);
    db.assert_healthy().await;
}

#[tokio::test]
async fn of_two_users_who_are_told_the_first_in_order_gets_it() {
    let db = shop().await;
    for is_first_told in [true, false] {
        let (one, other) = (sign_up(&db, None).await, sign_up(&db, None).await);
        let (owner, second) = (one.min(other), one.max(other));
        let order = if is_first_told { [owner, second] } else { [second, owner] };
        let key = owner.to_string();
        assert_eq!(tell(&db, paid(&key, order[0])).await, (100, 0));
        let expected = if is_first_told { (0, 0) } else { (100, 100) };
        assert_eq!(tell(&db, paid(&key, order[1])).await, expected);
        assert_eq!(holds(&db, owner).await, (100, 0));
        assert_eq!(holds(&db, second).await, (0, 0));
    }
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_malformed_fact_is_refused_and_leaves_nothing_behind() {
    let db = shop().await;
    let user = sign_up(&db, None).await;
    for more in [
        json!({ "keys": [] }),
        json!({ "keys": null }),
        json!({ "keys": "pi_1" }),
        json!({ "keys": [""] }),
        json!({ "keys": [1] }),
        json!({ "paid": "perhaps" }),
        json!({ "userId": "me" }),
        json!({ "credits": -1 }),
        json!({ "credits": "many" }),
        json!({ "credits": 1_000_000_000_001_i64 }),
        json!({ "quantity": 1e300 }),
        json!({ "quantity": 100_000_000_000_i64 }),
        json!({ "share": 1e13 }),
        json!({ "quantities": { "price_small": "2" } }),
        json!({ "quantities": { "price_small": -2 } }),
        json!({ "refundTotal": { "amount": 5 } }),
        json!({ "refundTotal": { "amount": -5, "at": 1 } }),
        json!({ "refundedShare": { "share": 2, "at": 1 } }),
        json!({ "refunds": { "re_1": { "amount": 5, "status": "odd", "at": 1 } } }),
        json!({ "refunds": ["re_1"] }),
        json!({ "disputes": { "dp_1": { "amount": 5, "at": 1 } } }),
    ] {
        let fact = with(paid("pi_1", user), more);
        let error = db.refusal("purchase_record_v1", args(fact.clone())).await;
        assert_eq!(error.reason(), ("PT400", "bad_request"), "{fact}");
    }
    for args in [args(json!([])), args(Value::Null), json!({ "p_seller": "", "p_fact": {} })] {
        assert_eq!(db.refusal("purchase_record_v1", args).await.state, "PT400");
    }
    assert_eq!(db.count("purchases").await + db.count("credit_entries").await, 0);
    // A fact that is valid but odd grants nothing.
    for odd in [
        json!({ "keys": ["1"] }),
        json!({ "keys": ["2"], "paid": true, "email": " ", "other": { "nested": [null] } }),
        json!({ "keys": ["3"], "paid": true, "userId": Uuid::nil(), "pack": "small" }),
        json!({ "keys": ["4"], "paid": false, "userId": user, "pack": "small" }),
        refunded("5", 0, 0),
        disputed("6", 10, "lost", 0),
    ] {
        assert_eq!(tell(&db, odd).await, (0, 0));
    }
    db.assert_healthy().await;
}

#[tokio::test]
async fn an_erased_users_purchases_stay_as_books_that_name_nobody() {
    let db = shop().await;
    let (user, admin) = (sign_up(&db, Some("ann@example.com")).await, db.admin().await);
    tell(&db, with(paid("1", user), json!({ "email": "ann@example.com" }))).await;
    tell(&db, paid("2", user)).await;
    spend(&db, user, 150).await;
    tell(&db, refunded("2", 1000, 1)).await;
    db.exec("update auth.users set email_confirmed_at = null").await;
    let waiting =
        json!({ "keys": ["3"], "paid": true, "pack": "small", "email": "ann@example.com" });
    tell(&db, waiting.clone()).await;
    db.exec("update auth.users set email_confirmed_at = now()").await;
    assert_eq!(holds(&db, user).await, (0, 50));
    let args = json!({ "p_actor": admin, "p_user_id": user, "p_reason": "asked" });
    db.ask("user_erase_v1", args).await;
    db.exec("delete from auth.users").await;
    let told = format!("t::text like '%{user}%' or t::text like '%ann@%'");
    for table in ["purchases", "credit_debts", "credit_entries"] {
        assert_eq!(db.count(&format!("{table} t where {told}")).await, 0, "{table}");
    }
    let books = "select granted, taken from purchases order by created_at";
    let book = |granted: i64, taken: i64| json!({ "granted": granted, "taken": taken });
    assert_eq!(db.rows(books).await, [book(100, 0), book(100, 100), book(0, 0)]);
    db.assert_healthy().await;
    // A fact that arrives after the erasure changes the purchase's row, but no user.
    assert_eq!(tell(&db, refunded("1", 500, 9)).await, (0, 0));
    assert_eq!(tell(&db, disputed("2", 1000, "won", 9)).await, (0, 0));
    assert_eq!(tell(&db, paid("1", user)).await, (0, 0));
    assert_eq!(tell(&db, waiting).await, (0, 0));
    assert_eq!(db.rows(books).await, [book(100, 50), book(100, 100), book(100, 0)]);
    assert_eq!(db.count(&format!("purchases t where {told}")).await, 0);
    assert_eq!(db.count("credit_accounts").await, 0);
    db.assert_healthy().await;
}

#[tokio::test]
async fn a_sign_up_bonus_is_given_once_to_whoever_signs_up_after_it_was_switched_on() {
    let db = shop().await;
    let before = sign_up(&db, None).await;
    db.exec("insert into signup_bonus (credits) values (60)").await;
    let (user, admin, other) = (sign_up(&db, None).await, db.admin().await, Uuid::new_v4());
    db.order(user, UPSCALER, 1).await;
    assert_eq!(ledger(&db, user).await, [("bonus".to_owned(), 60), ("debit".to_owned(), -60)]);
    db.enqueue(user, Uuid::new_v4(), UPSCALER, 1).await.unwrap_err();
    for nobody in [before, other] {
        let refused = db.enqueue(nobody, Uuid::new_v4(), UPSCALER, 1).await.unwrap_err();
        assert_eq!(refused.message, "insufficient_credits");
    }
    // A user who was erased and comes back, or whose account was deleted, gets no second bonus.
    db.exec(&format!("delete from credit_accounts where user_id = '{user}'")).await;
    db.exec(&format!("select unstuck_private.account_lock('{user}')")).await;
    assert_eq!(ledger(&db, user).await.len(), 2);
    let args = json!({ "p_actor": admin, "p_user_id": user, "p_reason": "asked" });
    db.ask("user_erase_v1", args).await;
    db.grant(user, 5).await;
    assert_eq!(db.balance(user).await, 5);
    // A purchase grants in addition to the bonus.
    let buyer = sign_up(&db, None).await;
    tell(&db, paid("1", buyer)).await;
    assert_eq!(db.balance(buyer).await, 160);
    db.assert_healthy().await;
}

#[tokio::test]
async fn purchase_checkout_v1_offers_enabled_packs_only() {
    let db = shop().await;
    let user = sign_up(&db, Some("Ann@example.com")).await;
    let ask = |pack: &str| json!({ "p_user_id": user, "p_pack": pack });
    let offer = db.ask("purchase_checkout_v1", ask("monthly")).await;
    let expected = json!({ "pack": "monthly", "credits": 300, "price_id": "price_monthly",
        "recurring": true, "email": "ann@example.com" });
    assert_eq!(offer, expected);
    for pack in ["old", "none"] {
        let error = db.refusal("purchase_checkout_v1", ask(pack)).await;
        assert_eq!(error.reason(), ("PT404", "not_found"), "{pack}");
    }
}

#[tokio::test]
async fn a_page_reads_offered_packs_and_the_users_own_balance() {
    let db = shop().await;
    let (user, other, admin) =
        (sign_up(&db, None).await, sign_up(&db, None).await, db.admin().await);
    tell(&db, paid("1", user)).await;
    spend(&db, user, 30).await;
    tell(&db, refunded("1", 1000, 1)).await;
    db.grant(other, 7).await;
    let page = db.connect().await;
    let holding =
        |balance: i64, debt: i64| json!({ "balance": balance, "debt": debt, "waits": false });
    for (role, who, packs, purchases, debts, balance) in [
        ("authenticated", Some(user), 3, 0, 1, holding(0, 30)),
        ("authenticated", Some(other), 3, 0, 0, holding(7, 0)),
        ("authenticated", Some(Uuid::new_v4()), 3, 0, 0, holding(0, 0)),
        ("authenticated", Some(admin), 4, 1, 1, holding(0, 0)),
        ("service_role", None, 4, 1, 1, holding(0, 0)),
        ("anon", None, 3, -1, -1, Value::Null),
    ] {
        page.become_owner().await;
        page.become_caller(role, who).await;
        let rows = async |table: &str| match page.try_rows(&format!("select * from {table}")).await
        {
            Ok(rows) => rows.len() as i64,
            Err(error) => {
                assert_eq!(error.state, "42501", "{role}: {table}");
                -1
            }
        };
        let seen =
            (rows("credit_packs").await, rows("purchases").await, rows("credit_debts").await);
        assert_eq!(seen, (packs, purchases, debts), "{role} {who:?}");
        if balance.is_null() {
            assert_eq!(rows("my_balance").await, -1, "{role}");
        } else {
            assert_eq!(page.row("select * from my_balance").await, balance, "{who:?}");
        }
    }
    assert_eq!(db.count(&format!("purchases where user_id = '{user}'")).await, 1);
}

#[tokio::test]
async fn a_purchase_whose_entries_are_not_what_is_due_is_a_violation() {
    let db = shop().await;
    let user = sign_up(&db, None).await;
    tell(&db, paid("1", user)).await;
    db.assert_healthy().await;
    for (wrong, right) in [
        ("update purchases set facts = '[]'", None),
        (
            "insert into credit_debts (user_id, purchase_id, amount)
             select user_id, id, 5 from purchases",
            Some("delete from credit_debts"),
        ),
    ] {
        db.exec(&format!("begin; {wrong}; update purchases set pack = pack")).await;
        assert_eq!(db.violated().await, ["purchase_equals_entries"], "{wrong}");
        db.exec("rollback").await;
        if let Some(right) = right {
            db.exec(&format!("{wrong}; {right}")).await;
        }
        db.assert_healthy().await;
    }
    db.exec("set session_replication_role = replica; update purchases set facts = '[]'").await;
    db.exec("set session_replication_role = origin").await;
    assert_eq!(db.int("select unstuck_private.audit_everything()").await, 1);
}

#[tokio::test]
async fn a_purchase_of_a_user_whose_account_is_held_holds_up_no_other() {
    let db = shop().await;
    let (user, other) = (db.user(1).await, sign_up(&db, None).await);
    let (holder, waiter) = (db.connect().await, db.connect().await);
    holder
        .exec(&format!("begin; select 1 from credit_accounts where user_id = '{user}' for update"))
        .await;
    let pid = waiter.pid().await;
    let waits = format!(
        "select count(*) from pg_stat_activity where pid = {pid} and wait_event_type = 'Lock'"
    );
    let ((), granted) = tokio::join!(
        async {
            while db.int(&waits).await == 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(tell(&db, paid("2", other)).await, (100, 0));
            holder.exec("commit").await;
        },
        tell(&waiter, paid("1", user))
    );
    assert_eq!(granted, (100, 0));
    db.assert_healthy().await;
}
