//! The providers of a simulation: they take work, do it or not, tell of it or not. What they made
//! for whom is theirs to say, whatever our database believes.

use std::rc::Rc;

use serde_json::{Value, json};
use shared::core::id::JobId;
use shared::core::transport::{HttpRequest, HttpResult, TransportError};
use shared::core::webhook::WebhookAddress;

use super::functions;
use super::plan::{Life, LifeFault, LifeTool};
use super::scheduler::Actor;
use super::transport::answer;
use super::world::{Outage, SimulatedWorld};

/// How a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskEnd {
    Success,
    /// Success, and the files are never listed.
    WithoutFiles,
    Failure,
    /// A failure that a retry may mend.
    Interruption,
    Never,
}

/// A task that a provider has taken.
#[derive(Debug, Clone)]
pub struct ProviderTask {
    pub provider: &'static str,
    pub job: JobId,
    pub step: i32,
    pub run: i64,
    pub ends_at_ms: u64,
    pub end: TaskEnd,
    pub cancelled: bool,
    /// When we were told of its success and took the word.
    pub told_at_ms: Option<u64>,
    /// When our database was told of it first, as the task of its step.
    pub recorded_at_ms: Option<u64>,
    webhook: String,
    input: Value,
    created_ms: u64,
}

/// A request to do work, as the provider reads it.
struct ProviderOrder<'a> {
    provider: &'static str,
    webhook: &'a str,
    input: Value,
    job: JobId,
    step: i32,
    run: i64,
    life: Option<&'a Life>,
    /// Whether the life's faults come in this step's first try.
    is_faulty: bool,
}

fn unknown(why: &str) -> HttpResult {
    Err(TransportError::Unknown(why.to_owned()))
}

/// Our address in `url`: the path behind the name of the function.
pub fn webhook_path(url: &str) -> Vec<String> {
    let path = url.split_once("/provider-webhook/").map_or("", |(_, path)| path);
    path.split('/').map(str::to_owned).collect()
}

impl ProviderTask {
    fn is_over(&self, now_ms: u64) -> bool {
        self.cancelled || (self.end != TaskEnd::Never && now_ms >= self.ends_at_ms)
    }

    /// Whether the provider bills the task, now or when it is over.
    fn is_paid(&self) -> bool {
        !self.cancelled && self.end == TaskEnd::Success
    }

    /// What the file says that the task made.
    fn content(&self) -> String {
        format!("{}:{}/{}", self.provider, self.job, self.step)
    }
}

impl SimulatedWorld {
    pub async fn provider(self: &Rc<Self>, actor: &Rc<Actor>, request: &HttpRequest) -> HttpResult {
        let ms = actor.between(30, 400);
        self.scheduler.sleep(ms).await;
        let url = request.url.as_str();
        let body: Value = serde_json::from_str(request.body.as_deref().unwrap_or("{}")).unwrap();
        if let Some(path) = url.strip_prefix("https://rh.test") {
            return self.runninghub(path, &body).await;
        }
        if let Some(path) = url.strip_prefix("https://rep.test/v1") {
            return self.replicate(request.method, path, &body).await;
        }
        self.gemini(&body).await
    }

    async fn runninghub(self: &Rc<Self>, path: &str, body: &Value) -> HttpResult {
        if self.is_away(Outage::RunningHub) {
            self.met("provider away");
            return Ok(answer(503, &json!({})));
        }
        match path {
            "/openapi/v2/query" => self.query(body["taskId"].as_str().unwrap_or_default()),
            "/task/openapi/cancel" => {
                self.cancel(body["taskId"].as_str().unwrap_or_default());
                Ok(answer(200, &json!({"code": 0, "msg": "success"})))
            }
            "/uc/openapi/accountStatus" => {
                Ok(answer(200, &json!({"code": 0, "data": {"remainCoins": "5000"}})))
            }
            _ => {
                let webhook = body["webhookUrl"].as_str().unwrap_or_default();
                self.submit("runninghub", webhook, body["nodeInfoList"].clone()).await
            }
        }
    }

    async fn replicate(self: &Rc<Self>, method: &str, path: &str, body: &Value) -> HttpResult {
        if self.is_away(Outage::Replicate) {
            self.met("provider away");
            return Ok(answer(503, &json!({})));
        }
        let rest = path.strip_prefix("/predictions").unwrap_or_default();
        if method == "POST" && rest.is_empty() {
            let webhook = body["webhook"].as_str().unwrap_or_default();
            return self.submit("replicate", webhook, body["input"].clone()).await;
        }
        if let Some(id) = rest.strip_suffix("/cancel") {
            self.cancel(id.trim_start_matches('/'));
            return Ok(answer(200, &json!({})));
        }
        match rest.strip_prefix('/') {
            Some(id) => self.query(id),
            None => Ok(answer(200, &self.listed())),
        }
    }

    /// All predictions, newest first, without their webhooks.
    fn listed(&self) -> Value {
        let state = self.state.borrow();
        let mut tasks: Vec<_> =
            state.tasks.iter().filter(|(_, task)| task.provider == "replicate").collect();
        tasks.sort_by_key(|(_, task)| std::cmp::Reverse(task.created_ms));
        let results: Value =
            tasks.iter().map(|(id, task)| json!({"id": id, "input": task.input})).collect();
        json!({"results": results, "next": null})
    }

    async fn submit(
        self: &Rc<Self>,
        provider: &'static str,
        webhook: &str,
        input: Value,
    ) -> HttpResult {
        let path = webhook_path(webhook);
        let Some((address, _)) = WebhookAddress::of_path(&path) else {
            self.offend(format!("{provider} is given the webhook {webhook}"));
            return Ok(answer(400, &json!({})));
        };
        let (job, step, run) = (address.job, address.step.0, address.run.0);
        let life = self.life(job);
        let faulty_step = life.map_or(1, Life::faulty_step);
        let is_faulty = i64::from(step) == i64::from(faulty_step);
        let order = ProviderOrder { provider, webhook, input, job, step, run, life, is_faulty };
        self.tell(format!("{provider} is asked for {job}/{step} run {run}"));
        if let Some(refused) = self.refuse(&order) {
            return refused;
        }
        let id = self.take(&order);
        let slow = order.fault_ms(|fault| match fault {
            LifeFault::SubmitSlow { ms } => Some(*ms),
            _ => None,
        });
        self.scheduler.sleep(slow.unwrap_or(0)).await;
        if order.is_first(self, "answer lost", |fault| *fault == LifeFault::SubmitAnswerLost) {
            return unknown("the answer was lost");
        }
        Ok(match provider {
            "runninghub" => {
                answer(200, &json!({"taskId": id, "status": "RUNNING", "errorCode": ""}))
            }
            _ => answer(201, &json!({"id": id, "status": "starting"})),
        })
    }

    /// What a provider answers that takes no work.
    fn refuse(&self, order: &ProviderOrder<'_>) -> Option<HttpResult> {
        let is_runninghub = order.provider == "runninghub";
        if order.is_first(self, "submit lost", |fault| *fault == LifeFault::SubmitLost) {
            return Some(unknown("the request was lost"));
        }
        if order.is_first(self, "submit not sent", |fault| *fault == LifeFault::SubmitNotSent) {
            return Some(Err(TransportError::NotSent("no route".to_owned())));
        }
        let life = order.life.filter(|_| order.is_faulty);
        let full = life.is_some_and(|life| {
            life.has(|fault| match fault {
                LifeFault::SubmitFull { times } => self.comes(life.number, "full", *times),
                _ => false,
            })
        });
        if full {
            self.met("provider full");
            return Some(Ok(match is_runninghub {
                true => answer(200, &json!({"errorCode": "421", "errorMessage": "full"})),
                false => answer(429, &json!({"detail": "throttled"})),
            }));
        }
        if order.is_first(self, "submit broken", |fault| *fault == LifeFault::SubmitBroken) {
            return Some(Ok(match is_runninghub {
                true => answer(200, &json!({"errorCode": "1005", "errorMessage": "internal"})),
                false => answer(500, &json!({"detail": "internal"})),
            }));
        }
        if order.is_first(self, "submit rejected", |fault| *fault == LifeFault::SubmitRejected) {
            return Some(Ok(match is_runninghub {
                true => answer(200, &json!({"errorCode": "301", "errorMessage": "bad input"})),
                false => answer(422, &json!({"detail": "bad input"})),
            }));
        }
        None
    }

    /// Takes the work, and plans what becomes of it.
    fn take(self: &Rc<Self>, order: &ProviderOrder<'_>) -> String {
        let &ProviderOrder { provider, job, step, run, .. } = order;
        self.check_twice(order);
        self.check_previous(order);
        let is = |name, wanted: LifeFault| order.is_first(self, name, |fault| *fault == wanted);
        let end = match () {
            () if is("work failed", LifeFault::WorkFails) => TaskEnd::Failure,
            () if is("work interrupted", LifeFault::WorkInterrupted) => TaskEnd::Interruption,
            () if is("provider silent", LifeFault::WorkSilent) => TaskEnd::Never,
            () if is("success without files", LifeFault::NoFiles) => TaskEnd::WithoutFiles,
            () => TaskEnd::Success,
        };
        let id = format!("{}", 1_000_000 + self.state.borrow().tasks.len());
        let is_early = is("webhook early", LifeFault::WebhookEarly);
        let slow = order.fault_ms(|fault| match fault {
            LifeFault::WorkSlow { ms } => Some(*ms),
            _ => None,
        });
        let is_slow = |fault: &LifeFault| matches!(fault, LifeFault::WorkSlow { .. });
        let slow = slow.filter(|_| order.is_first(self, "work slow", is_slow));
        let work_ms = slow.or(order.life.map(|life| life.work_ms)).unwrap_or(5_000);
        let ends_at_ms = self.now_ms() + if is_early { 0 } else { work_ms };
        let task = ProviderTask {
            provider,
            job,
            step,
            run,
            ends_at_ms,
            end,
            cancelled: false,
            told_at_ms: None,
            recorded_at_ms: None,
            webhook: order.webhook.to_owned(),
            input: order.input.clone(),
            created_ms: self.now_ms(),
        };
        self.tell(format!("{provider} takes {job}/{step} run {run} as {id}: {end:?}"));
        self.state.borrow_mut().tasks.insert(id.clone(), task);
        if end != TaskEnd::Never {
            self.plan_webhooks(order, &id);
        }
        id
    }

    fn plan_webhooks(self: &Rc<Self>, order: &ProviderOrder<'_>, id: &str) {
        let ends_in_ms = self.state.borrow().tasks[id].ends_at_ms - self.now_ms();
        let is = |name, wanted: LifeFault| order.is_first(self, name, |fault| *fault == wanted);
        let own = order.webhook.to_owned();
        if is("webhook lies", LifeFault::WebhookLies) {
            functions::webhook_later(self, ends_in_ms / 2, &own, id);
        }
        if is("webhook forged", LifeFault::WebhookForged) {
            let forged = format!("{}0000", &own[..own.len() - 4]);
            functions::webhook_later(self, ends_in_ms / 2, &forged, id);
        }
        if is("webhook misrouted", LifeFault::WebhookMisrouted) {
            let other = self
                .state
                .borrow()
                .tasks
                .values()
                .rfind(|task| {
                    // RunningHub does not tell which webhook a task has, so a step without a task
                    // of its own believes its webhook.
                    let is_believed =
                        task.provider == "runninghub" && task.recorded_at_ms.is_none();
                    task.job != order.job && task.provider == order.provider && !is_believed
                })
                .map(|task| task.webhook.clone());
            if let Some(other) = other {
                functions::webhook_later(self, ends_in_ms, &other, id);
            }
        }
        let late = order.fault_ms(|fault| match fault {
            LifeFault::WebhookLate { ms } => Some(*ms),
            _ => None,
        });
        if late.is_some() {
            self.met("webhook late");
        }
        if !is("webhook lost", LifeFault::WebhookLost) {
            functions::webhook_later(self, ends_in_ms + late.unwrap_or(0), &own, id);
        }
        let twice = order.fault_ms(|fault| match fault {
            LifeFault::WebhookTwice { after_ms } => Some(*after_ms),
            _ => None,
        });
        if let Some(after_ms) = twice {
            self.met("webhook twice");
            functions::webhook_later(self, ends_in_ms + after_ms, &own, id);
        }
    }

    /// No step may be at work twice, nor be made twice, unless an admin began it anew.
    fn check_twice(&self, order: &ProviderOrder<'_>) {
        let now_ms = self.now_ms();
        let twin = self.state.borrow().tasks.iter().find_map(|(id, task)| {
            let is_same = task.job == order.job && task.step == order.step;
            let is_twice = !task.is_over(now_ms) || task.is_paid();
            (is_same && is_twice).then(|| (id.clone(), task.clone()))
        });
        let is_excused = self.state.borrow().interfered.contains(&order.job);
        if let Some((id, task)) = twin.filter(|_| !is_excused) {
            let ProviderOrder { job, step, run: new, .. } = order;
            let what = if task.is_over(now_ms) { "was made by" } else { "is at work as" };
            self.offend(format!(
                "{job}/{step} run {new} is submitted and {what} {id} of run {}",
                task.run
            ));
        }
    }

    /// A later step of a chain works on what the step before made.
    fn check_previous(&self, order: &ProviderOrder<'_>) {
        let Some(from) = order.input["human_img"].as_str().filter(|_| order.step > 1) else {
            return;
        };
        let path = from.split("/object/public/").nth(1).unwrap_or_default();
        let wanted = format!("{}:{}/{}", order.provider, order.job, order.step - 1);
        let found = self.state.borrow().objects.get(path).cloned();
        if found.as_deref() != Some(&wanted) {
            self.offend(format!("{}/{} is made from {from}, {found:?}", order.job, order.step));
        }
    }

    fn query(&self, id: &str) -> HttpResult {
        let Some(task) = self.state.borrow().tasks.get(id).cloned() else {
            return Ok(answer(404, &json!({"errorCode": "807", "errorMessage": "no such task"})));
        };
        let life = self.life(task.job);
        let is_silent = life.is_some_and(|life| {
            life.has(|fault| match fault {
                LifeFault::QueryUnanswered { times } => self.comes(life.number, "query", *times),
                _ => false,
            })
        });
        if is_silent {
            self.met("query unanswered");
            return unknown("silence");
        }
        let is_over = task.is_over(self.now_ms());
        let is_told = is_over && !task.cancelled && task.end == TaskEnd::Success;
        if is_told && let Some(task) = self.state.borrow_mut().tasks.get_mut(id) {
            task.told_at_ms.get_or_insert(self.now_ms());
        }
        let is_video = life.is_some_and(|life| life.tool == LifeTool::Video);
        let ending = if is_video { "mp4" } else { "png" };
        let url = format!("https://out.test/{id}.{ending}");
        let body = match (task.provider, is_over, task.cancelled, task.end) {
            ("runninghub", false, ..) => json!({"taskId": id, "status": "RUNNING"}),
            ("runninghub", _, true, _) => json!({"taskId": id, "status": "CANCEL"}),
            ("runninghub", .., TaskEnd::Success) => json!({"taskId": id, "status": "SUCCESS",
                "results": [{"url": url, "outputType": ending}]}),
            ("runninghub", .., TaskEnd::WithoutFiles) => {
                json!({"taskId": id, "status": "SUCCESS", "results": null})
            }
            ("runninghub", .., TaskEnd::Interruption) => {
                json!({"taskId": id, "status": "FAILED", "errorCode": "1005"})
            }
            ("runninghub", ..) => json!({"taskId": id, "status": "FAILED", "errorCode": "805",
                "errorMessage": "it failed"}),
            (_, false, ..) => json!({"id": id, "status": "processing", "webhook": task.webhook}),
            (_, _, true, _) => json!({"id": id, "status": "canceled", "webhook": task.webhook}),
            (.., TaskEnd::Success) => {
                json!({"id": id, "status": "succeeded", "output": url, "webhook": task.webhook})
            }
            (.., TaskEnd::WithoutFiles) => {
                json!({"id": id, "status": "succeeded", "output": null, "webhook": task.webhook})
            }
            (.., TaskEnd::Interruption) => json!({"id": id, "status": "failed",
                "error": "Prediction interrupted; please retry (code: PA)",
                "webhook": task.webhook}),
            _ => json!({"id": id, "status": "failed", "error": "it failed",
                "webhook": task.webhook}),
        };
        Ok(answer(200, &body))
    }

    fn cancel(&self, id: &str) {
        let now_ms = self.now_ms();
        let mut state = self.state.borrow_mut();
        if let Some(task) = state.tasks.get_mut(id).filter(|task| !task.is_over(now_ms)) {
            task.cancelled = true;
        }
        drop(state);
        self.tell(format!("{id} is cancelled at its provider"));
    }

    /// The content of a task's result and its ending, or why it is not to be had.
    pub fn result_at(&self, url: &str) -> Result<(String, &'static str), &'static str> {
        let name = url.rsplit('/').next().unwrap_or_default();
        let (id, ending) = name.split_once('.').unwrap_or_default();
        let task = self.state.borrow().tasks.get(id).cloned().ok_or("404")?;
        let life = self.life(task.job);
        let missing =
            life.into_iter().flat_map(|life| &life.faults).find_map(|fault| match fault {
                LifeFault::SourceMissing { ms } => Some(*ms),
                _ => None,
            });
        if missing.is_some_and(|ms| self.now_ms() < task.ends_at_ms + ms) {
            self.met("result missing");
            return Err("404");
        }
        Ok((task.content(), if ending == "mp4" { "mp4" } else { "png" }))
    }

    /// One call that answers with a picture. The prompt names the job and the card.
    async fn gemini(self: &Rc<Self>, body: &Value) -> HttpResult {
        let text = body
            .pointer("/contents/0/parts")
            .and_then(Value::as_array)
            .and_then(|parts| parts.iter().find_map(|part| part["text"].as_str()));
        let (job, step) = text.and_then(|text| text.split_once('/')).unwrap_or_default();
        let life = JobId::parse(job).and_then(|job| self.life(job));
        let faulty = life.filter(|life| step == life.faulty_step().to_string());
        let first = |name, wanted: LifeFault| {
            let life = faulty.filter(|life| life.faults.contains(&wanted));
            let comes = life.is_some_and(|life| self.comes(life.number, name, 1));
            if comes {
                self.met(name);
            }
            comes
        };
        if first("submit not sent", LifeFault::SubmitNotSent) {
            return Err(TransportError::NotSent("no route".to_owned()));
        }
        if first("submit broken", LifeFault::SubmitBroken) {
            return Ok(answer(503, &json!({"error": {"code": 503, "status": "UNAVAILABLE"}})));
        }
        if first("submit rejected", LifeFault::SubmitRejected) {
            return Ok(answer(200, &json!({"promptFeedback": {"blockReason": "SAFETY"}})));
        }
        let slow = faulty.into_iter().flat_map(|life| &life.faults).find_map(|fault| match fault {
            LifeFault::SubmitSlow { ms } => Some(*ms),
            _ => None,
        });
        let slow = slow.filter(|_| faulty.is_some_and(|life| self.comes(life.number, "slow", 1)));
        let ms = slow.or(life.map(|life| life.work_ms)).unwrap_or(5_000);
        self.scheduler.sleep(ms).await;
        if first("answer lost", LifeFault::SubmitAnswerLost) {
            return unknown("the answer was lost");
        }
        if first("success without files", LifeFault::NoFiles) {
            return Ok(answer(200, &json!({"candidates": [{"finishReason": "NO_IMAGE"}]})));
        }
        let mut bytes = vec![0x89, b'P', b'N', b'G'];
        bytes.extend(format!("gemini:{job}/{step}").bytes());
        let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
        Ok(answer(
            200,
            &json!({"candidates": [{"finishReason": "STOP", "content": {"parts": [
            {"inlineData": {"mimeType": "image/png", "data": data}}]}}]}),
        ))
    }
}

impl ProviderOrder<'_> {
    /// Whether a fault of the life comes now, for the first and only time.
    fn is_first(
        &self,
        world: &SimulatedWorld,
        name: &'static str,
        is_it: impl Fn(&LifeFault) -> bool,
    ) -> bool {
        let life = self.life.filter(|life| self.is_faulty && life.has(is_it));
        let comes = life.is_some_and(|life| world.comes(life.number, name, 1));
        if comes {
            world.met(name);
        }
        comes
    }

    fn fault_ms(&self, ms: impl Fn(&LifeFault) -> Option<u64>) -> Option<u64> {
        self.life.filter(|_| self.is_faulty)?.faults.iter().find_map(ms)
    }
}
