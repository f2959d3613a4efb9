//! Runs 100 jobs of 5 cards through the whole local stack, without crons, and compares the time
//! with the ideal: cards × the provider's time ÷ its limit.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Client;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::keys::LocalUser;
use crate::stack::{Stack, StackOptions};
use crate::tools;

/// A picture of 40×30 pixels.
const PRODUCT: &[u8] = include_bytes!("product.png");
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
    let mut buyers = Vec::new();
    for user in &info.users {
        buyers.push(buyer(&stack, &http, user).await?);
    }
    let db = stack.db().await?;
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
        let (token, url) = buyers.get(number % buyers.len()).context("a buyer")?;
        order(&http, &info.functions_url, token, url).await?;
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

/// Signs a user in, grants credits and uploads a product image; the token and the image's URL.
async fn buyer(stack: &Stack, http: &Client, user: &LocalUser) -> Result<(String, String)> {
    let info = stack.info();
    let credentials = json!({ "email": user.email, "password": user.password });
    let request = http
        .post(format!("{}/auth/v1/token?grant_type=password", info.url))
        .header("apikey", &info.anon_key);
    let session: Value =
        request.json(&credentials).send().await?.error_for_status()?.json().await?;
    let token = session["access_token"].as_str().context("a token")?.to_owned();
    let id = Uuid::parse_str(&user.id)?;
    let grant = "
        select 1
        from unstuck.credit_grant_v1($1::uuid, 100000, 'bench', 'bench ' || $1::uuid::text)";
    stack.db().await?.query(grant, &[&id]).await?;
    let storage = format!("{}/storage/v1", info.url);
    let path = format!("uploads/{}/bench/product.png", user.id);
    let signing = http.post(format!("{storage}/object/upload/sign/{path}")).bearer_auth(&token);
    let signed: Value = signing.send().await?.error_for_status()?.json().await?;
    let target = format!("{storage}{}", signed["url"].as_str().context("where to upload")?);
    let upload = http.put(target).header("content-type", "image/png").body(PRODUCT);
    upload.send().await?.error_for_status()?;
    Ok((token, format!("{storage}/object/public/{path}")))
}

async fn order(http: &Client, functions_url: &str, token: &str, image_url: &str) -> Result<()> {
    let body = json!({
        "productName": "Steel bottle",
        "productImages": [{ "url": image_url }],
        "selectedCards": [0, 1, 2, 3, 4],
    });
    let request = http
        .post(format!("{functions_url}/create-generation-job-banana"))
        .bearer_auth(token)
        .json(&body);
    request.send().await?.error_for_status()?;
    Ok(())
}
