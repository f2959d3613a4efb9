//! A user of a local stack who has credits and an uploaded picture, orders pictures one after the
//! other, and queries the jobs as `web/client.js` does.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::keys;
use crate::stack::Stack;

/// A picture of 40×30 pixels.
const PICTURE: &[u8] = include_bytes!("product.png");

/// The shortest and the longest pause between two queries of a job.
const LOOK_MS: u64 = 700;
const LOOK_MS_MAX: u64 = 3_000;
/// A request without an answer of a function is repeated for so long, at this interval.
const REPEAT_FOR: Duration = Duration::from_secs(60);
const REPEAT_EVERY: Duration = Duration::from_millis(500);

/// One of many users who order at the same time.
#[derive(Clone, Debug)]
pub(super) struct Shopper {
    pub(super) token: String,
    pub(super) image_url: String,
}

/// One order of a user.
pub(super) struct PlacedOrder {
    pub(super) job: Uuid,
    pub(super) sent_at: SystemTime,
    pub(super) answered: Duration,
    /// The number of requests for this order that had no answer.
    pub(super) repeated: usize,
}

impl Shopper {
    /// Makes a user with a token of the project, 100,000 credits and a picture in the bucket.
    pub(super) async fn new(
        stack: &Stack,
        db: &tokio_postgres::Client,
        http: &Client,
    ) -> Result<Self> {
        let id = Uuid::new_v4();
        let token = keys::sign_hs256(&stack.info().jwt_secret, &keys::user_claims(id));
        let grant = "
            select 1
            from unstuck.credit_grant_v1($1::uuid, 100000, 'bench', 'bench ' || $1::uuid::text)";
        db.query(grant, &[&id]).await?;
        let storage = format!("{}/storage/v1", stack.info().url);
        let path = format!("uploads/{id}/bench/product.png");
        let signing = http.post(format!("{storage}/object/upload/sign/{path}")).bearer_auth(&token);
        let signed: Value = signing.send().await?.error_for_status()?.json().await?;
        let target = format!("{storage}{}", signed["url"].as_str().context("where to upload")?);
        let upload = http.put(target).header("content-type", "image/png").body(PICTURE);
        upload.send().await?.error_for_status()?;
        Ok(Self { token, image_url: format!("{storage}/object/public/{path}") })
    }

    /// Orders that many pictures, one after the other.
    pub(super) async fn shop(
        &self,
        http: &Client,
        functions_url: &str,
        pictures: usize,
    ) -> Result<Vec<PlacedOrder>> {
        let tool = format!("{functions_url}/runninghub-upscaler");
        let mut orders = Vec::new();
        for _ in 0..pictures {
            let job = Uuid::new_v4();
            let body = json!({ "jobId": job, "sessionId": "bench", "imageUrl": self.image_url });
            let (sent_at, began, mut repeated) = (SystemTime::now(), Instant::now(), 0);
            let run = http.post(format!("{tool}/run")).json(&body);
            self.answer(run, &mut repeated).await?;
            let answered = began.elapsed();
            let look = http.get(format!("{tool}/queue-status?jobId={job}"));
            self.until_ended(&look, &mut repeated).await?;
            orders.push(PlacedOrder { job, sent_at, answered, repeated });
        }
        Ok(orders)
    }

    /// Queries a job until it ends: soon after a change, then at growing intervals.
    async fn until_ended(&self, look: &RequestBuilder, repeated: &mut usize) -> Result<()> {
        let mut before = (Value::Null, Value::Null);
        let mut wait_ms = LOOK_MS;
        loop {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            let look = look.try_clone().context("a look has no body")?;
            let seen = self.answer(look, repeated).await?;
            let status = seen["status"].as_str().unwrap_or_default();
            if ["completed", "failed", "cancelled"].contains(&status) {
                return Ok(());
            }
            let now = (seen["status"].clone(), seen["position"].clone());
            wait_ms = if now == before { (wait_ms * 3 / 2).min(LOOK_MS_MAX) } else { LOOK_MS };
            before = now;
        }
    }

    /// The answer to a request. The request is repeated while its connection breaks, or while a
    /// gateway answers that no function is there.
    async fn answer(&self, request: RequestBuilder, repeated: &mut usize) -> Result<Value> {
        let request = request.bearer_auth(&self.token);
        let began = Instant::now();
        loop {
            let sent = request.try_clone().context("the body can be sent twice")?.send().await;
            let heard = match sent {
                Ok(answer) => {
                    let status = answer.status();
                    answer.text().await.map(|text| (status, text))
                }
                Err(error) => Err(error),
            };
            let error = match heard {
                Ok((status, text)) if status.is_success() => {
                    return Ok(serde_json::from_str(&text)?);
                }
                Ok((status, text)) => {
                    ensure!(status.as_u16() == 502, "a request was answered {status}: {text}");
                    text
                }
                Err(error) => error.to_string(),
            };
            ensure!(began.elapsed() < REPEAT_FOR, "nobody answers: {error}");
            *repeated += 1;
            tokio::time::sleep(REPEAT_EVERY).await;
        }
    }
}
