//! Places one real order, from the upload to the result, and gives its price back.
//!
//! The order is placed by an ordinary user of the app who has credits. One grant returns its price.
//! Then the balance is compared with the balance before the order.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::findings::{good, lack};
use super::look::{Doctor, answer};
use super::observed::{NoAnswer, Observed, PageState};
use super::{DoctorTarget, Finding, TrialOrder};

/// The deadline of an order: a video takes up to a quarter of an hour, and may wait in the queue.
const PATIENCE: Duration = Duration::from_secs(1200);
const POLL: Duration = Duration::from_secs(2);
/// A picture that every tool takes: 512 by 512 pixels.
const PICTURE: &[u8] = include_bytes!("trial.png");
/// A video of one second, 64 by 64 pixels.
const VIDEO: &[u8] = include_bytes!("trial.mp4");

/// Orders the tool once. Every failure becomes a finding, and a charge is always given back.
pub(super) async fn place(
    target: &DoctorTarget,
    observed: &Observed,
    order: &TrialOrder,
) -> Finding {
    let subject = format!("order {}", order.tool);
    let mut taken = None;
    let outcome = match Trial::begin(target, observed, order).await {
        Ok(trial) => {
            let ordered = trial.run(&mut taken).await;
            let returned = trial.give_back(taken.as_deref()).await;
            match (ordered, returned) {
                (Ok(words), Ok(back)) => Ok(format!("{words}; {back}")),
                (Err(words), Err(more)) => Err(format!("{words}; {more}")),
                (Err(words), Ok(_)) | (Ok(_), Err(words)) => Err(words),
            }
        }
        Err(words) => Err(words),
    };
    match outcome {
        Ok(words) => good(subject, words),
        Err(words) => {
            lack(subject, words, "mend what is told above; docs/operations.md has the rest")
        }
    }
}

struct Trial<'a> {
    doctor: Doctor<'a>,
    page: PageState,
    tool: &'a str,
    user: String,
    token: String,
    balance: i64,
}

/// The error is a sentence for the finding.
type TrialResult<T> = Result<T, String>;

fn failed(what: &str) -> impl Fn(NoAnswer) -> String + '_ {
    move |refusal| format!("{what}: {}", refusal.words())
}

impl<'a> Trial<'a> {
    async fn begin(
        target: &'a DoctorTarget,
        observed: &Observed,
        order: &'a TrialOrder,
    ) -> TrialResult<Trial<'a>> {
        let doctor = Doctor::new(target).map_err(|error| error.to_string())?;
        let page = observed.page.clone().map_err(failed("/config.json"))?;
        let TrialOrder { tool, email, password } = order;
        let url = format!("{}/auth/v1/token?grant_type=password", page.supabase_url);
        let request = doctor.http.post(url).header("apikey", &page.supabase_key);
        let request = request.json(&json!({ "email": email, "password": password }));
        let session: Value = answer(request).await.map_err(failed("sign-in"))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (user, token) = (text(&session["user"]["id"]), text(&session["access_token"]));
        let mut trial = Trial { doctor, page, tool, user, token, balance: 0 };
        trial.balance = trial.balance_now().await?;
        Ok(trial)
    }

    async fn balance_now(&self) -> TrialResult<i64> {
        // `my_balance` shows the balance of our ledger, or that of the app's own wallet.
        let rows = self.row("rest/v1/my_balance?select=balance", "balance").await?;
        rows[0]["balance"]
            .as_i64()
            .ok_or_else(|| "the project does not tell the user's balance".to_owned())
    }

    fn project(&self, path: &str) -> String {
        format!("{}/{path}", self.page.supabase_url)
    }

    fn as_user(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.header("apikey", &self.page.supabase_key).bearer_auth(&self.token)
    }

    /// Uploads, orders, and waits for the job's end. Sets `taken` to the job before the order can
    /// be charged.
    async fn run(&self, taken: &mut Option<String>) -> TrialResult<String> {
        let job = uuid::Uuid::new_v4().to_string();
        let (path, body) = self.order(&job).await?;
        let url = self.doctor.function(&path);
        *taken = Some(job.clone());
        let request = self.doctor.http.post(url).json(&body);
        let _: Value = answer(self.as_user(request)).await.map_err(failed("the order"))?;
        let began = Instant::now();
        loop {
            let of = format!("rest/v1/jobs?id=eq.{job}&select=status,error_message");
            let state = self.row(&of, "its status").await?;
            match state[0]["status"].as_str() {
                Some("completed") => return self.completed(&job, began).await,
                Some("pending" | "queued" | "starting" | "running")
                    if began.elapsed() < PATIENCE =>
                {
                    tokio::time::sleep(POLL).await;
                }
                _ => {
                    let told = state[0]["error_message"].as_str().unwrap_or("it does not end");
                    return Err(format!("the order failed: {told}"));
                }
            }
        }
    }

    /// The operation that takes orders for the tool, and the smallest possible order. All tools of
    /// one provider take the same input.
    async fn order(&self, job: &str) -> TrialResult<(String, Value)> {
        let tool = self.tool;
        let of = format!("rest/v1/tools?tool=eq.{tool}&select=provider");
        let row = self.row(&of, "the tool").await?;
        match row[0]["provider"].as_str() {
            Some("runninghub") => {
                let picture = self.upload(job, "doctor.png", "image/png", PICTURE).await?;
                let video = self.upload(job, "doctor.mp4", "video/mp4", VIDEO).await?;
                let body = json!({
                    "jobId": job, "imageUrl": picture, "personImageUrl": picture,
                    "referenceImageUrl": picture, "clothingImageUrl": picture, "resolution": 512,
                    "videoUrl": video,
                });
                Ok((format!("{tool}/run"), body))
            }
            Some("replicate") => {
                let picture = self.upload(job, "doctor.png", "image/png", PICTURE).await?;
                let garment = json!({ "image": picture, "category": "upper_body" });
                let body = json!({ "job_id": job, "person_image": picture, "garments": [garment] });
                Ok((tool.to_owned(), body))
            }
            Some("gemini") => {
                let picture = self.upload(job, "doctor.png", "image/png", PICTURE).await?;
                let body = json!({
                    "jobId": job, "productName": "Bottle", "selectedCards": [1],
                    "productImages": [{ "url": picture }],
                });
                Ok((tool.to_owned(), body))
            }
            Some("llm") => {
                let prompt = "A page with one heading: Hello.";
                Ok((tool.to_owned(), json!({ "jobId": job, "prompt": prompt })))
            }
            _ => Err("the catalogue has no such tool".to_owned()),
        }
    }

    /// Reads our rows with the user's rights.
    async fn row(&self, path: &str, what: &str) -> TrialResult<Value> {
        let request = self.doctor.http.get(self.project(path)).header("accept-profile", "unstuck");
        answer(self.as_user(request)).await.map_err(failed(what))
    }

    async fn upload(
        &self,
        job: &str,
        name: &str,
        kind: &str,
        bytes: &'static [u8],
    ) -> TrialResult<String> {
        let bucket = self.page.uploads_bucket.as_deref().unwrap_or("uploads");
        let path = format!("{bucket}/{}/{job}/{name}", self.user);
        let request = self.doctor.http.post(self.project(&format!("storage/v1/object/{path}")));
        let request = request.header("content-type", kind).body(bytes);
        let _: Value = answer(self.as_user(request)).await.map_err(failed("the upload"))?;
        Ok(self.project(&format!("storage/v1/object/public/{path}")))
    }

    /// Opens every result of the job.
    async fn completed(&self, job: &str, began: Instant) -> TrialResult<String> {
        let seconds = began.elapsed().as_secs();
        // Users read the results of each tool from another table, so the steps are read with the
        // service key.
        let url = self.project(&format!("rest/v1/job_steps?job_id=eq.{job}&select=output_url"));
        let request = self.doctor.http.get(url).header("accept-profile", "unstuck");
        let steps: Value =
            answer(self.doctor.as_service(request)).await.map_err(failed("its results"))?;
        let urls: Vec<&str> = steps
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|step| step["output_url"].as_str())
            .collect();
        if urls.is_empty() {
            return Err("it is completed and has no result".to_owned());
        }
        for url in urls {
            let shown = self.doctor.http.get(url).send().await;
            let status = shown.map_err(|error| error.without_url().to_string())?.status();
            if !status.is_success() {
                return Err(format!("a result cannot be opened: {status}"));
            }
        }
        Ok(format!("completed in {seconds} s"))
    }

    /// Returns the part of the price that was not refunded, and checks that the balance is as
    /// before.
    async fn give_back(&self, job: Option<&str>) -> TrialResult<String> {
        let Some(job) = job else { return Ok("nothing was charged".to_owned()) };
        let columns = "status,credits_charged,credits_refunded";
        let url = self.project(&format!("rest/v1/jobs?id=eq.{job}&select={columns}"));
        let request = self.doctor.http.get(url).header("accept-profile", "unstuck");
        let rows: Value =
            answer(self.doctor.as_service(request)).await.map_err(failed("the receipt"))?;
        let status = rows[0]["status"].as_str().unwrap_or_default();
        if matches!(status, "pending" | "queued" | "starting" | "running") {
            // Its end gives the price back, or brings what was paid for.
            return Err(format!(
                "the job {job} is still {status}: its price is not given back yet"
            ));
        }
        let credits = |name: &str| rows[0][name].as_i64().unwrap_or_default();
        let left = credits("credits_charged") - credits("credits_refunded");
        if left > 0 {
            let given = json!({
                "p_user_id": self.user, "p_amount": left, "p_reason": format!("doctor {job}"),
                "p_idempotency_key": format!("doctor-{job}"),
            });
            let project = &self.page.supabase_url;
            let granted = self.doctor.rpc::<Value>(project, "credit_grant_v1", &given).await;
            granted.map_err(failed("its price was not given back"))?;
        }
        let after = self.balance_now().await?;
        if after != self.balance {
            return Err(format!("the balance was {} and is {after}", self.balance));
        }
        Ok(format!("{left} credits given back, balance {after} as before"))
    }
}
