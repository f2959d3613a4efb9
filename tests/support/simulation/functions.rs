//! Our functions as the platform runs them: what begins each, and what ends it. The code under test
//! is `shared`; what stands here is what `functions/*` declare.

use std::rc::Rc;

use futures::channel::oneshot;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::app::runninghub as runninghub_app;
use shared::core::auth::{Caller, Quota};
use shared::core::error::ApiError;
use shared::core::file_url::FileUrl;
use shared::core::id::{JobId, UserId};
use shared::core::media::MediaKind;
use shared::core::provider::replicate::try_on::{Garment, stored_requests};
use shared::core::provider::runninghub::apps::{Field, ToolInput};
use shared::core::provider::{gemini, replicate};
use shared::core::transport::{
    HttpRequest, HttpResponse, HttpResult, Transport as _, TransportError,
};
use shared::core::webhook::{self, Signature, WebhookAddress};
use shared::db::job::EnqueuedJob;
use shared::db::step::Attempt;
use shared::db::sweep::SweepSource;
use shared::flow::attempt::{card, placed, pool};
use shared::flow::heal::{admin_retry, checker, sweep};
use shared::flow::invocation::Invocation;
use shared::flow::order::enqueue;
use shared::flow::settle::webhook::{WebhookHint, consume, record, settle_in_background};
use shared::flow::submit::{round, wake};
use shared::flow::{Cx, finalise};

use super::plan::{Life, LifeFault, LifeTool, Scene};
use super::providers::webhook_path;
use super::scheduler::Actor;
use super::transport::{Worker, answer, within};
use super::world::{Outage, SimulatedWorld};

/// The platform ends what a request does after its answer, and a cron or a consumer.
pub const BACKGROUND_MS: u64 = 30_000;
const EVENT_MS: u64 = 900_000;
const MESSAGE_RETRY_MS: u64 = 10_000;
const MESSAGE_TRIES: u32 = 10;

impl Worker {
    pub fn cx(&self) -> Cx<'_, Worker> {
        Cx {
            transport: self,
            config: &self.world.config,
            request_id: &self.actor.name,
            caller: None,
        }
    }
}

/// One request of a user.
pub struct UserCall {
    pub worker: Worker,
    pub caller: Caller,
}

impl UserCall {
    pub fn new(world: &Rc<SimulatedWorld>, actor: Rc<Actor>, user: UserId, admin: bool) -> Self {
        let caller = Caller::User { id: user, anonymous: false, admin };
        Self { worker: Worker { world: Rc::clone(world), actor }, caller }
    }
}

impl Invocation for UserCall {
    type Transport = Worker;

    fn cx(&self) -> Cx<'_, Worker> {
        self.worker.cx()
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn idempotency_key(&self) -> Option<&str> {
        None
    }

    fn log_job(&self, _: JobId) {}

    fn background(&self, work: impl AsyncFnOnce(Cx<'_, Worker>) + 'static) {
        let worker = self.worker.clone();
        self.worker.world.scheduler.spawn(&self.worker.actor, async move {
            within(&worker.world, BACKGROUND_MS, work(worker.cx())).await;
        });
    }

    async fn count_against(&self, _: Quota) -> Result<(), ApiError> {
        Ok(())
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SimulatedUpscale {
    image_url: FileUrl,
    resolution: u32,
}

impl ToolInput for SimulatedUpscale {
    const TOOL: &'static str = "runninghub-upscaler";

    fn fields(&self) -> Vec<Field> {
        vec![Field::file("imageUrl", &self.image_url, ("1", "image"))]
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SimulatedVideo {
    video_url: FileUrl,
}

impl ToolInput for SimulatedVideo {
    const TOOL: &'static str = "runninghub-video-upscaler";
    const RESULT: MediaKind = MediaKind::Video;

    fn fields(&self) -> Vec<Field> {
        vec![Field::file("videoUrl", &self.video_url, ("1", "video"))]
    }
}

/// Orders what a life orders. The answer is the one that its client reads.
pub async fn order(call: &UserCall, life: &Life, job: JobId) -> Result<(), ApiError> {
    let user = call.user()?;
    let file = |name: &str| {
        format!("https://p.test/storage/v1/object/public/uploads/{user}/{}/{name}", life.number)
    };
    match life.tool {
        LifeTool::Upscale => {
            let fields = json!({"jobId": job, "imageUrl": file("a.png"), "resolution": 2_048});
            runninghub_app::run::<SimulatedUpscale>(call, fields).await.map(drop)
        }
        LifeTool::Video => {
            let fields = json!({"jobId": job, "videoUrl": file("a.mp4")});
            runninghub_app::run::<SimulatedVideo>(call, fields).await.map(drop)
        }
        LifeTool::TryOn => order_try_on(call, life, job, &file).await,
        LifeTool::Cards => order_cards(call, life, job, &file).await,
    }
}

async fn order_try_on(
    call: &UserCall,
    life: &Life,
    job: JobId,
    file: &dyn Fn(&str) -> String,
) -> Result<(), ApiError> {
    let cx = call.cx();
    let urls: Vec<String> = (0..=life.steps).map(|number| file(&format!("{number}.png"))).collect();
    let mut order = enqueue::order(call.user()?, job, "replicate-async-start", None, &urls)?;
    let files: Vec<(String, &str)> =
        urls.iter().map(|url| ("image".to_owned(), url.as_str())).collect();
    let urls = enqueue::files(&cx, &order, &files).await?;
    let garments: Vec<Garment<'_>> = urls[1..]
        .iter()
        .map(|url| Garment { image_url: url, category: "dresses", description: "" })
        .collect();
    order.steps = stored_requests(None, &urls[0], &garments).unwrap();
    order.claim = round::can_submit(&cx, replicate::NAME);
    let enqueued = enqueue::enqueue_measured(&cx, &order, None, &files).await?;
    let is_to_submit = enqueued.is_to_submit();
    let EnqueuedJob { claimed, .. } = enqueued;
    if is_to_submit {
        call.background(async move |cx| {
            round::submit_waiting_logged(&cx, replicate::NAME, claimed, &|_| {}).await;
        });
    }
    Ok(())
}

async fn order_cards(
    call: &UserCall,
    life: &Life,
    job: JobId,
    file: &dyn Fn(&str) -> String,
) -> Result<(), ApiError> {
    let cx = call.cx();
    let url = file("product.png");
    let tool = "create-generation-job-banana";
    let mut order = enqueue::order(call.user()?, job, tool, None, &(life.steps, &url))?;
    let files = [("image".to_owned(), url.as_str())];
    let urls = enqueue::files(&cx, &order, &files).await?;
    order.steps = (1..=life.steps)
        .map(|card| gemini::stored_request(&urls, &format!("{job}/{card}"), "1:1"))
        .collect();
    let view = enqueue::enqueue_measured(&cx, &order, None, &files).await?.view;
    if !view.status.is_final() {
        call.background(async |cx| wake::send_hint(&cx, gemini::NAME, 0).await);
    }
    Ok(())
}

pub fn table(tool: LifeTool) -> &'static str {
    match tool {
        LifeTool::Upscale => "upscaler_jobs",
        LifeTool::Video => "video_upscaler_jobs",
        LifeTool::TryOn => "replicate_tasks",
        LifeTool::Cards => "generation_jobs",
    }
}

pub async fn cancel(call: &UserCall, tool: LifeTool, job: JobId) -> Result<i64, ApiError> {
    let cx = call.cx();
    let user = call.user()?;
    let cancelled = match call.caller {
        Caller::User { admin: true, .. } => {
            finalise::cancel_by_admin(&cx, user, table(tool), job, Some("a reason")).await?
        }
        _ => finalise::cancel_by_user(&cx, user, table(tool), job).await?,
    };
    let provider = cancelled.provider;
    call.background(async move |cx| wake::after_cancel(&cx, &provider, Some(job)).await);
    Ok(cancelled.refunded_credits)
}

/// Returns the job that works from now on.
pub async fn restart(call: &UserCall, tool: LifeTool, job: JobId) -> Result<JobId, ApiError> {
    let user = call.user()?;
    let cx = call.cx();
    let new = JobId::from_random(cx.transport.random());
    let requeued = admin_retry::by_admin(&cx, user, table(tool), job, new, false, None).await?;
    let provider = requeued.provider;
    call.background(async move |cx| admin_retry::after_retry(&cx, &provider).await);
    Ok(requeued.job_id)
}

/// A provider calls our webhook after that time.
pub fn webhook_later(world: &Rc<SimulatedWorld>, ms: u64, url: &str, task: &str) {
    let (world, url, task) = (Rc::clone(world), url.to_owned(), task.to_owned());
    let number = world.state.borrow().story.len();
    let actor = world.actor(format!("the call about {task} ({number})"));
    let task_world = Rc::clone(&world);
    task_world.scheduler.spawn(&Rc::clone(&actor), async move {
        world.scheduler.sleep(ms + actor.between(5, 300)).await;
        let path = webhook_path(&url);
        let Some((address, token)) = WebhookAddress::of_path(&path) else { return };
        let is_ours = webhook::verify(&["secret"], address, token);
        world.tell(format!(
            "a webhook about {task} arrives for {}/{} run {}{}",
            address.job,
            address.step,
            address.run,
            if is_ours { "" } else { ", forged" }
        ));
        if !is_ours {
            return;
        }
        let life = world.life(address.job);
        let name = format!("the webhook about {task} ({number})");
        let actor = world.actor_of(life, Scene::Webhook, name);
        let provider = if address.provider == "replicate" { "replicate" } else { "runninghub" };
        let Attempt { job, step, run } =
            Attempt { job: address.job, step: address.step, run: address.run };
        let worker = Worker { world: Rc::clone(&world), actor: Rc::clone(&actor) };
        let work = async move {
            let body = json!({"taskId": task, "id": task}).to_string();
            let attempt = Attempt { job, step, run };
            let signature = Signature::default();
            let recorded = record(&worker.cx(), provider, attempt, &signature, &body).await;
            let Ok(hint) = recorded else { return };
            let background = async {
                let start = round::starter;
                let cx = worker.cx();
                settle_in_background(&cx, hint, &start(&cx, provider)).await;
            };
            within(&worker.world, BACKGROUND_MS, background).await;
        };
        world.scheduler.spawn(&actor, work);
    });
}

/// A message waits in a queue; it may be lost or doubled.
pub fn enqueue_message(
    world: &Rc<SimulatedWorld>,
    from: &str,
    queue: &str,
    message: &str,
    delay_s: u32,
) {
    let hint: Value = serde_json::from_str(message).unwrap();
    let job = hint["job"].as_str().and_then(JobId::parse);
    let life = job.and_then(|job| world.life(job));
    let is = |fault: LifeFault| life.is_some_and(|life| life.faults.contains(&fault));
    let number = life.map_or(0, |life| life.number);
    if is(LifeFault::MessageLost) && world.comes(number, "message lost", 1) {
        world.met("message lost");
        return;
    }
    let copies = if is(LifeFault::MessageTwice) && world.comes(number, "message twice", 1) {
        world.met("message twice");
        2
    } else {
        1
    };
    for copy in 0..copies {
        let at = world.state.borrow().story.len();
        world.tell(format!("{from} leaves a message in {queue}"));
        let name = format!("the consumer of {queue} ({at}, {copy})");
        let (world, queue) = (Rc::clone(world), queue.to_owned());
        let (hint, life) = (hint.clone(), life.cloned());
        let waiting = world.actor(name.clone());
        Rc::clone(&world).scheduler.spawn(&Rc::clone(&waiting), async move {
            let jitter = waiting.between(100, 5_000);
            world.scheduler.sleep(u64::from(delay_s) * 1_000 + jitter).await;
            let actor = world.actor_of(life.as_ref(), Scene::Message, name);
            let worker = Worker { world: Rc::clone(&world), actor: Rc::clone(&actor) };
            world
                .scheduler
                .spawn(&actor, async move { consume_message(&worker, &queue, hint).await });
        });
    }
}

/// The platform delivers a message that failed once more.
async fn consume_message(worker: &Worker, queue: &str, hint: Value) {
    for _ in 0..MESSAGE_TRIES {
        let work = async {
            let cx = worker.cx();
            if queue == "HINTS" {
                let hint: WebhookHint = serde_json::from_value(hint.clone()).unwrap();
                consume(&cx, &hint, &round::starter(&cx, &hint.provider)).await
            } else {
                placed::run(&cx, "cards", 240_000).await.map(drop)
            }
        };
        if let Some(Ok(())) = within(&worker.world, EVENT_MS, work).await {
            return;
        }
        worker.world.scheduler.sleep(MESSAGE_RETRY_MS).await;
    }
}

/// Runs the placed function in an actor of its own.
pub fn placed_run(
    world: &Rc<SimulatedWorld>,
    from: &str,
    function: &str,
    request: &HttpRequest,
) -> oneshot::Receiver<HttpResult> {
    let (tx, rx) = oneshot::channel();
    let body: Value = serde_json::from_str(request.body.as_deref().unwrap_or("{}")).unwrap();
    let claim_for_ms = body["claimForMs"].as_u64().unwrap();
    let actor = world.actor(format!("{function} for {from}"));
    let worker = Worker { world: Rc::clone(world), actor: Rc::clone(&actor) };
    world.scheduler.spawn(&actor, async move {
        let cx = worker.cx();
        let account = gemini::GeminiAccount::from_config(cx.config).unwrap();
        let bounds = pool::Bounds { parallel: 4, claim_for_ms };
        let make = async |step: &_| card::make(&cx, &account, step).await;
        let made = pool::run_all(&cx, gemini::NAME, bounds, make).await;
        let answered: Result<HttpResponse, TransportError> = Ok(match made {
            Ok(report) => answer(200, &serde_json::to_value(report).unwrap()),
            Err(error) => answer(503, &json!({"error": error.message})),
        });
        let _ = tx.send(answered);
    });
    rx
}

/// What runs every minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cron {
    Sweep,
    Checker,
    TryOnWorker,
    Cards,
    SqlHealer,
}

impl Cron {
    pub const ALL: [Self; 5] =
        [Self::Sweep, Self::Checker, Self::TryOnWorker, Self::Cards, Self::SqlHealer];

    fn is_off(self, world: &SimulatedWorld) -> bool {
        match self {
            Self::SqlHealer => world.is_away(Outage::SqlHealer),
            Self::Checker => world.is_away(Outage::Edge) || world.is_away(Outage::Checker),
            _ => world.is_away(Outage::Edge),
        }
    }

    /// Begins one run, unless the scheduler is off.
    pub fn begin(self, world: &Rc<SimulatedWorld>, dies_at: Option<(u32, bool)>) {
        if self.is_off(world) {
            world.met("healer off");
            return;
        }
        if self == Self::SqlHealer {
            world.heal_by_sql();
            return;
        }
        let actor = world.actor(format!("{self:?} of {}", world.now_ms() / 60_000));
        actor.dies_at.set(dies_at);
        let worker = Worker { world: Rc::clone(world), actor: Rc::clone(&actor) };
        world.scheduler.spawn(&actor, async move {
            let ran = within(&worker.world, EVENT_MS, self.run(&worker)).await;
            if let Some(Err(error)) = ran {
                worker.world.tell(format!("{self:?} fails: {error}"));
            }
        });
    }

    async fn run(self, worker: &Worker) -> Result<(), ApiError> {
        let cx = worker.cx();
        match self {
            Self::Sweep => sweep::passes(&cx, SweepSource::Cron, 3, 20_000, sweep::JOBS_MAX).await,
            Self::Checker => checker::passes(&cx, replicate::NAME, 2, 30_000).await,
            Self::TryOnWorker => round::submit_waiting(&cx, replicate::NAME).await.map(drop),
            Self::Cards => placed::run(&cx, "cards", 50_000).await.map(drop),
            Self::SqlHealer => Ok(()),
        }
    }
}
