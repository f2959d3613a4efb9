//! One real order, from the upload to the result, whose price is given back.
//!
//! Whoever orders is an ordinary user of the app, with credits. What the order took comes back as a
//! grant, once, and the balance after it is compared with the one before.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::findings::{good, lack};
use super::look::{Doctor, answer};
use super::observed::{NoAnswer, Observed, PageState};
use super::{DoctorTarget, Finding, TrialOrder};

/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_secs(2);
/// A picture that every tool takes: 512 by 512 pixels.
const PICTURE: &[u8] = include_bytes!("trial.png");

/// Orders the tool once. Every failure is a finding, and whatever was charged is given back.
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
            ordered.and_then(|words| returned.map(|back| format!("{words}; {back}")))
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

/// What went wrong, in words.
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
        // Whoever holds the balance: us, or the app's own wallet.
        let url = self.project("rest/v1/my_balance?select=balance");
        let request = self.doctor.http.get(url).header("accept-profile", "unstuck");
        let rows: Value = answer(self.as_user(request)).await.map_err(failed("balance"))?;
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

    /// Uploads, orders, and waits for the end. `taken` becomes the job as soon as it may be
    /// charged.
    async fn run(&self, taken: &mut Option<String>) -> TrialResult<String> {
        let job = uuid::Uuid::new_v4().to_string();
        let picture = self.upload(&job).await?;
        let body = json!({
            "jobId": job, "imageUrl": picture, "personImageUrl": picture,
            "referenceImageUrl": picture, "clothingImageUrl": picture, "resolution": 512,
        });
        let url = self.doctor.function(&format!("{}/run", self.tool));
        *taken = Some(job.clone());
        let request = self.doctor.http.post(url).json(&body);
        let _: Value = answer(self.as_user(request)).await.map_err(failed("the order"))?;
        let began = Instant::now();
        loop {
            let url = self.doctor.function(&format!("{}/queue-status?jobId={job}", self.tool));
            let request = self.as_user(self.doctor.http.get(url));
            let state: Value = answer(request).await.map_err(failed("its status"))?;
            match state["status"].as_str() {
                Some("completed") => return self.completed(&state, began).await,
                Some("queued" | "running") if began.elapsed() < PATIENCE => {
                    tokio::time::sleep(POLL).await;
                }
                _ => {
                    let told = state["errorMessage"].as_str().unwrap_or("it does not end");
                    return Err(format!("the order failed: {told}"));
                }
            }
        }
    }

    async fn upload(&self, job: &str) -> TrialResult<String> {
        let path = format!("uploads/{}/{job}/doctor.png", self.user);
        let request = self.doctor.http.post(self.project(&format!("storage/v1/object/{path}")));
        let request = request.header("content-type", "image/png").body(PICTURE);
        let _: Value = answer(self.as_user(request)).await.map_err(failed("the upload"))?;
        Ok(self.project(&format!("storage/v1/object/public/{path}")))
    }

    async fn completed(&self, state: &Value, began: Instant) -> TrialResult<String> {
        let url = state["outputUrl"].as_str().unwrap_or_default();
        let shown = self.doctor.http.get(url).send().await;
        let status = shown.map_err(|error| error.without_url().to_string())?.status();
        if !status.is_success() {
            return Err(format!("the result cannot be opened: {status}"));
        }
        Ok(format!("completed in {} s", began.elapsed().as_secs()))
    }

    /// Gives back what the job still holds of the balance, and compares it with the one before.
    async fn give_back(&self, job: Option<&str>) -> TrialResult<String> {
        let Some(job) = job else { return Ok("nothing was charged".to_owned()) };
        let url = self
            .project(&format!("rest/v1/jobs?id=eq.{job}&select=credits_charged,credits_refunded"));
        let request = self.doctor.http.get(url).header("accept-profile", "unstuck");
        let rows: Value =
            answer(self.doctor.as_service(request)).await.map_err(failed("the receipt"))?;
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
