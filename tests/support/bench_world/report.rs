//! What became of the orders, as a table, and what must hold.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::buyer::Buyer;
use super::plan::{ClientHabit, PlannedTool, ProviderEnd};
use crate::e2e::World;
use crate::e2e::order::VIDEO;
use crate::e2e::website::CREDITS;

/// The least percentage of the results that providers made which must be delivered.
const DELIVERED_PERCENT_MIN: usize = 99;

/// The counts of one line of the table.
#[derive(Default)]
struct Tally {
    orders: usize,
    made: usize,
    delivered: usize,
}

impl Tally {
    fn add(&mut self, was_made: bool, is_delivered: bool) {
        self.orders += 1;
        self.made += usize::from(was_made);
        self.delivered += usize::from(was_made && is_delivered);
    }
}

/// Prints the table. Panics if an order is stuck, an account is not exact, a file is not of the
/// kind that was sold, or too little is delivered.
pub(super) async fn assert_all_is_well(world: &World, buyers: &[Buyer], took: Duration) {
    let mut by_tool: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut by_trouble: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut all = Tally::default();
    let mut undelivered = Vec::new();
    for buyer in buyers {
        let job = world.db().rows(&format!("{JOB} where j.id = '{}'", buyer.job)).await;
        let is_delivered = assert_exact(world, buyer, job.first()).await;
        let was_made = buyer.plan.trouble.end == ProviderEnd::Makes
            && buyer.plan.habit != ClientHabit::Cancels;
        if was_made && !is_delivered {
            undelivered.push(format!("{:?}: {:?}", buyer.plan, job.first()));
        }
        by_tool.entry(buyer.plan.tool.name()).or_default().add(was_made, is_delivered);
        by_trouble.entry(buyer.plan.trouble.name).or_default().add(was_made, is_delivered);
        all.add(was_made, is_delivered);
    }
    for (title, lines) in [("tool", by_tool), ("what went wrong", by_trouble)] {
        println!("\n{title:<32} {:>7} {:>7} {:>9}", "orders", "made", "delivered");
        for (name, Tally { orders, made, delivered }) in lines {
            println!("{name:<32} {orders:>7} {made:>7} {delivered:>9}");
        }
    }
    let slots = world.count(SLOTS).await;
    let violations = world.violations().await;
    println!(
        "\n{} of {} made results delivered, 0 stuck, {slots} slots held, {} violations, {took:.0?}",
        all.delivered,
        all.made,
        violations.len(),
    );
    for line in &undelivered {
        println!("made, not delivered: {line}");
    }
    assert_eq!(slots, 0, "slots are held by steps that are over");
    assert!(violations.is_empty(), "{violations:#?}");
    let is_enough = all.delivered * 100 >= all.made * DELIVERED_PERCENT_MIN;
    assert!(is_enough, "less than {DELIVERED_PERCENT_MIN} % of what was made is delivered");
}

const JOB: &str = "
select j.status, j.error_code, j.error_message, j.credits_charged, j.credits_refunded, j.output_url,
    (select coalesce(sum(e.amount), 0) from unstuck.credit_entries e where e.job_id = j.id) as paid
from unstuck.jobs j";

const SLOTS: &str = "
job_steps where status in ('starting', 'running') and provider_done_at is null";

/// Asserts that the job is final, that its user's balance agrees with its charge and refund, and
/// that a delivered file can be fetched and is of the kind that was sold. Returns whether the whole
/// result is delivered.
async fn assert_exact(world: &World, buyer: &Buyer, job: Option<&Value>) -> bool {
    let balance = world.balance(&buyer.user).await;
    let Some(job) = job else {
        // The order was refused before any debit, or its cancel came before it.
        assert_eq!(balance, CREDITS, "no job, no charge: {:?}", buyer.plan);
        return false;
    };
    let number = |name: &str| job[name].as_i64().unwrap_or_else(|| panic!("{name}: {job}"));
    let (charged, refunded) = (number("credits_charged"), number("credits_refunded"));
    assert_eq!(charged, buyer.price, "{:?}: {job}", buyer.plan);
    assert_eq!(number("paid"), refunded - charged, "{:?}: {job}", buyer.plan);
    assert_eq!(balance, CREDITS - charged + refunded, "{:?}: {job}", buyer.plan);
    let is_completed = job["status"] == "completed";
    assert!(is_completed || refunded > 0, "not delivered, not returned: {:?}: {job}", buyer.plan);
    let is_whole_due = job["status"] == "failed" || buyer.plan.trouble.end != ProviderEnd::Makes;
    assert!(!is_whole_due || refunded == charged, "a part was returned: {:?}: {job}", buyer.plan);
    let is_one_file = matches!(buyer.plan.tool, PlannedTool::Media(_) | PlannedTool::TryOn(_));
    let has_file = job["output_url"].is_string();
    assert!(!(is_completed && is_one_file) || has_file, "completed without a file: {job}");
    if let Some(url) = job["output_url"].as_str() {
        assert_sold(world, buyer, url).await;
    }
    is_completed && refunded == 0
}

/// Asserts that the delivered file exists and is of the kind that was ordered.
async fn assert_sold(world: &World, buyer: &Buyer, url: &str) {
    let answer = world.http().get(url).send().await.expect("storage answers");
    assert_eq!(answer.status(), 200, "{url}");
    let kind = answer.headers()["content-type"].to_str().unwrap_or_default().to_owned();
    let wanted = match buyer.plan.tool {
        PlannedTool::Media(tool) if *tool == VIDEO => "video/mp4",
        PlannedTool::Website => "application/",
        PlannedTool::Media(_) | PlannedTool::TryOn(_) | PlannedTool::Cards(_) => "image/",
    };
    assert!(kind.starts_with(wanted), "{:?} was delivered as {kind}", buyer.plan.tool);
}
