//! Runs 100 jobs of 5 cards through the whole local stack, without crons. Compares the time with
//! the ideal one: cards × the provider's time ÷ its limit.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Client;
use serde_json::json;

use super::shopper::Shopper;
use crate::stack::{Stack, StackOptions};
use crate::tools;

const BUYERS: usize = 7;
const JOBS: usize = 100;
const CARDS: usize = 5;
const WORK_MS: u64 = 2_000;
const PATIENCE: Duration = Duration::from_secs(900);
const POLL: Duration = Duration::from_millis(250);

pub(super) async fn run() -> Result<()> {
    tools::setup()?;
    let stack = Stack::start(StackOptions::for_tests()?).await?;
    let http = Client::builder().timeout(Duration::from_secs(60)).build()?;
    let info = stack.info().clone();
    let script = json!({ "gemini": { "all": true, "work_ms": WORK_MS } });
    http.post(format!("{}/__script", info.providers_url))
        .json(&script)
        .send()
        .await?
        .error_for_status()?;
    let db = stack.db().await?;
    let mut buyers = Vec::new();
    for _ in 0..BUYERS {
        buyers.push(Shopper::new(&stack, &db, &http).await?);
    }
    let limit: i32 = db
        .query_one("select max_concurrent from unstuck.providers where provider = 'gemini'", &[])
        .await?
        .get(0);
    let limit = u32::try_from(limit)?;
    let ideal = Duration::from_millis(WORK_MS) * u32::try_from(JOBS * CARDS)? / limit;
    println!(
        "{JOBS} jobs of {CARDS} cards, {WORK_MS} ms each at the provider, {limit} at a time: \
         {ideal:.0?} at best"
    );

    let began = Instant::now();
    for number in 0..JOBS {
        let buyer = buyers.get(number % buyers.len()).context("a buyer")?;
        order(&http, &info.functions_url, buyer).await?;
    }
    println!("ordered in {:.1?}", began.elapsed());
    let live = "select count(*) from unstuck.jobs where completed_at is null";
    while db.query_one(live, &[]).await?.get::<_, i64>(0) > 0 {
        ensure!(began.elapsed() < PATIENCE, "not done in {PATIENCE:?}");
        tokio::time::sleep(POLL).await;
    }
    let took = began.elapsed();
    let busy = ideal.as_secs_f64() / took.as_secs_f64() * 100.0;
    let done: i64 = db
        .query_one("select count(*) from unstuck.job_steps where status = 'completed'", &[])
        .await?
        .get(0);
    println!("{done} cards in {took:.1?}: {busy:.0} % busy (wanted: 80 %)");
    stack.stop();
    if done != i64::try_from(JOBS * CARDS)? {
        bail!("cards are missing");
    }
    Ok(())
}

async fn order(http: &Client, functions_url: &str, buyer: &Shopper) -> Result<()> {
    let body = json!({
        "productName": "Steel bottle",
        "productImages": [{ "url": buyer.image_url }],
        "selectedCards": [0, 1, 2, 3, 4],
    });
    let request = http
        .post(format!("{functions_url}/create-generation-job-banana"))
        .bearer_auth(&buyer.token)
        .json(&body);
    request.send().await?.error_for_status()?;
    Ok(())
}
