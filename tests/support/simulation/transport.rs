//! What a worker's calls reach: the database, the storage, the providers, the queues. Here a worker
//! dies, a connection breaks, an answer is late.

use std::future::{Future, pending};
use std::rc::Rc;

use futures::future::{Either, select};
use serde_json::{Value, json};
use shared::core::id::JobId;
use shared::core::media::MediaType;
use shared::core::transport::{
    CopyError, FileCopy, FileInMemory, FunctionCalls, HttpRequest, HttpResponse, HttpResult,
    Streams, Transport, TransportError,
};

use super::functions;
use super::plan::LifeFault;
use super::scheduler::Actor;
use super::server::Ending;
use super::wallet;
use super::world::{Outage, SimulatedWorld};
use crate::session::SqlError;

/// One invocation of one of our functions.
#[derive(Clone)]
pub struct Worker {
    pub world: Rc<SimulatedWorld>,
    pub actor: Rc<Actor>,
}

/// When a worker gives up a call that the network holds back.
const GIVEN_UP_MS: u64 = 8_000;
const STORAGE: &str = "https://p.test/storage/v1/object/";

pub fn answer(status: u16, body: &Value) -> HttpResponse {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    HttpResponse { status, headers, body: body.to_string() }
}

fn no_answer(why: &str) -> TransportError {
    TransportError::Unknown(why.to_owned())
}

impl Worker {
    /// Begins a call; the worker may die before it.
    async fn enter(&self) -> u32 {
        let number = self.actor.calls.get();
        self.actor.calls.set(number + 1);
        if self.actor.dies_at.get() == Some((number, false)) {
            self.die(number).await;
        }
        if self.actor.is_dead.get() {
            pending::<()>().await;
        }
        number
    }

    /// Ends a call; the worker may die before it reads the answer.
    async fn leave(&self, number: u32) {
        if self.actor.dies_at.get() == Some((number, true)) {
            self.die(number).await;
        }
    }

    async fn die(&self, number: u32) {
        self.world.tell(format!("{} is killed at its call {number}", self.actor.name));
        self.world.met("worker killed");
        self.actor.is_dead.set(true);
        pending::<()>().await;
    }

    async fn wait(&self, least_ms: u64, most_ms: u64) {
        let ms = self.actor.between(least_ms, most_ms);
        self.world.scheduler.sleep(ms).await;
    }

    async fn rpc(&self, function: &str, request: &HttpRequest) -> HttpResult {
        self.wait(1, 12).await;
        if self.world.is_away(Outage::Database) {
            self.world.met("database away");
            return Ok(answer(503, &json!({"code": "PGRST000", "message": "no connection"})));
        }
        let args: Value = serde_json::from_str(request.body.as_deref().unwrap_or("{}")).unwrap();
        let is_healer = request.headers.iter().any(|(name, _)| name == "x-unstuck-caller");
        if function == "step_sent_v1" && self.actor.is_faulty() {
            let job = args["p_job_id"].as_str().unwrap().to_owned();
            self.world.state.borrow_mut().of_faulty_workers.insert(job);
        }
        let number = self.actor.database_calls.get();
        self.actor.database_calls.set(number + 1);
        if let Some((_, ms)) = self.actor.late_at.get().filter(|(at, _)| *at == number) {
            self.arrive_later(function, args, is_healer, ms);
            self.world.scheduler.sleep(GIVEN_UP_MS).await;
            return Err(no_answer("no answer"));
        }
        if function == "step_started_v1"
            && let Some(ms) = self.recorded_late(&args)
        {
            self.arrive_later(function, args, is_healer, ms);
            self.die(self.actor.calls.get() - 1).await;
            return Err(no_answer("its worker is dead"));
        }
        let broken = self.actor.breaks_at.get().filter(|(at, _)| *at == number);
        let ending = match broken {
            Some((_, false)) => Ending::RollBack,
            _ => Ending::Commit,
        };
        let called = self.world.call_database(function, &args, is_healer, ending);
        if broken.is_some() {
            let what =
                format!("{}: the connection breaks in {function}, {ending:?}", self.actor.name);
            self.world.tell(what);
            self.world.met("connection broken");
            return Err(no_answer("the connection broke"));
        }
        self.wait(0, 6).await;
        Ok(match called {
            Ok(value) => answer(200, &value),
            Err(error) => self.refusal(function, &error),
        })
    }

    /// The network holds a call back; its worker is not there any more when it arrives.
    fn arrive_later(&self, function: &str, args: Value, is_healer: bool, ms: u64) {
        self.world.met("call late");
        let (stray, function) = (self.clone(), function.to_owned());
        let name = format!("{}: {function} on its way", self.actor.name);
        self.world.scheduler.spawn(&self.world.actor(name), async move {
            let world = &stray.world;
            world.scheduler.sleep(ms).await;
            if world.is_away(Outage::Database) {
                return;
            }
            world.tell(format!("{}: {function} arrives late", stray.actor.name));
            let called = world.call_database(&function, &args, is_healer, Ending::Commit);
            if let Err(error) = called {
                stray.refusal(&function, &error);
            }
        });
    }

    /// By how much the first record of a task of this job is late.
    fn recorded_late(&self, args: &Value) -> Option<u64> {
        let life = self.world.life(JobId::parse(args["p_job_id"].as_str()?)?)?;
        let ms = life.faults.iter().find_map(|fault| match fault {
            LifeFault::RecordedLate { ms } => Some(*ms),
            _ => None,
        })?;
        self.world.comes(life.number, "recorded late", 1).then_some(ms)
    }

    fn refusal(&self, function: &str, error: &SqlError) -> HttpResponse {
        let status = error.state.strip_prefix("PT").and_then(|code| code.parse().ok());
        if status.is_none() {
            let has_wallet = self.world.plan.wallet.is_some();
            match wallet::excuse(function, error).filter(|_| has_wallet) {
                Some(fault) => self.world.met(fault),
                None => self.world.offend(format!("{function} fails: {error}")),
            }
        }
        let body = json!({"code": error.state, "message": error.message, "details": error.detail});
        answer(status.unwrap_or(500), &body)
    }

    async fn storage(&self, path: &str, request: &HttpRequest) -> HttpResult {
        self.wait(5, 80).await;
        if self.world.is_away(Outage::Storage) {
            self.world.met("storage away");
            return Ok(answer(503, &json!({"message": "away"})));
        }
        if path.starts_with("info/") {
            return Ok(answer(200, &json!({"size": 1_000})));
        }
        let body: Value = serde_json::from_str(request.body.as_deref().unwrap_or("{}")).unwrap();
        let folder = format!("results/{}/", body["prefix"].as_str().unwrap_or_default());
        let search = body["search"].as_str().unwrap_or_default();
        let state = self.world.state.borrow();
        let names = state.objects.keys().filter_map(|path| path.strip_prefix(&folder));
        let names = names.filter(|name| name.starts_with(search));
        Ok(answer(200, &names.map(|name| json!({"name": name})).collect()))
    }

    /// How long the first copy of a life takes that is slow.
    fn slow_copy(&self, url: &str) -> Option<u64> {
        let job = url.strip_prefix(STORAGE)?.split('/').nth(2).and_then(JobId::parse)?;
        let life = self.world.life(job)?;
        let ms = life.faults.iter().find_map(|fault| match fault {
            LifeFault::CopySlow { ms } => Some(*ms),
            _ => None,
        })?;
        self.world.comes(life.number, "copy slow", 1).then_some(ms)
    }

    /// Whether storage takes a file of this job now.
    fn stores(&self, path: &str) -> bool {
        if self.world.is_away(Outage::Storage) {
            self.world.met("storage away");
            return false;
        }
        let job = path.split('/').nth(2).and_then(JobId::parse);
        let Some(life) = job.and_then(|job| self.world.life(job)) else { return true };
        let fails = life.faults.iter().any(|fault| match fault {
            LifeFault::UploadFails { times } => self.world.comes(life.number, "upload", *times),
            _ => false,
        });
        if fails {
            self.world.met("upload failed");
        }
        !fails
    }

    /// The video at an address where a client has uploaded one.
    fn video_at(&self, url: &str) -> Option<Vec<u8>> {
        let folder = url.strip_prefix(STORAGE)?.strip_suffix("/a.mp4")?;
        let number: u32 = folder.rsplit('/').next()?.parse().ok()?;
        let life = self.world.plan.lives.iter().find(|life| life.number == number)?;
        Some(video(life.video_s()))
    }

    fn store(&self, path: &str, content: String) {
        let old = self.world.state.borrow_mut().objects.insert(path.to_owned(), content);
        if old.is_some() {
            self.world.offend(format!("{path} is overwritten"));
        }
    }
}

/// The head of an MP4 of that many seconds: a box `ftyp`, and a box `moov` with an `mvhd`.
fn video(seconds: u32) -> Vec<u8> {
    let a_box = |name: &[u8; 4], content: &[u8]| {
        let length = u32::try_from(8 + content.len()).unwrap();
        [&length.to_be_bytes(), name.as_slice(), content].concat()
    };
    let numbers = [0, 0, 0, 1, seconds].map(u32::to_be_bytes).concat();
    [a_box(b"ftyp", b"isom\0\0\0\0"), a_box(b"moov", &a_box(b"mvhd", &numbers))].concat()
}

impl Transport for Worker {
    async fn send(&self, request: HttpRequest) -> HttpResult {
        let number = self.enter().await;
        let limit = u64::from(request.timeout_ms);
        let work = std::pin::pin!(async {
            if let Some((_, function)) = request.url.split_once("/rest/v1/rpc/") {
                self.rpc(function, &request).await
            } else if let Some(path) = request.url.strip_prefix(STORAGE) {
                self.storage(path, &request).await
            } else {
                self.world.provider(&self.actor, &request).await
            }
        });
        let limit = std::pin::pin!(self.world.scheduler.sleep(limit));
        let answered = match select(work, limit).await {
            Either::Left((answered, _)) => answered,
            Either::Right(_) => Err(no_answer("too late")),
        };
        self.leave(number).await;
        answered
    }

    async fn copy(&self, copy: FileCopy) -> Result<&'static MediaType, CopyError> {
        let number = self.enter().await;
        self.wait(200, 3_000).await;
        if let Some(ms) = self.slow_copy(&copy.to.url) {
            let limit = u64::from(copy.to.timeout_ms);
            self.world.met("copy slow");
            self.world.scheduler.sleep(ms.min(limit)).await;
            if ms >= limit {
                self.leave(number).await;
                return Err(CopyError::Transient("too late".to_owned()));
            }
        }
        let path = copy.to.url.strip_prefix(STORAGE).unwrap().to_owned();
        let found = self.world.result_at(&copy.from);
        let stored = match found {
            Err(why) => Err(CopyError::Transient(why.to_owned())),
            Ok(_) if !self.stores(&path) => Err(CopyError::Transient("storage: 503".to_owned())),
            Ok((content, extension)) => {
                self.store(&format!("{path}.{extension}"), content);
                Ok(MediaType::named(extension).unwrap())
            }
        };
        self.leave(number).await;
        stored
    }

    async fn sleep(&self, ms: u32) {
        self.world.scheduler.sleep(u64::from(ms)).await;
    }

    fn now_ms(&self) -> u64 {
        self.world.worker_clock_ms()
    }

    fn random(&self) -> u128 {
        self.actor.chance.borrow_mut().bits()
    }

    async fn upload(&self, request: HttpRequest, bytes: Vec<u8>) -> HttpResult {
        let number = self.enter().await;
        self.wait(50, 500).await;
        let path = request.url.strip_prefix(STORAGE).unwrap();
        let stored = if self.stores(path) {
            self.store(path, String::from_utf8_lossy(&bytes[4..]).into_owned());
            Ok(answer(200, &json!({})))
        } else {
            Ok(answer(503, &json!({"message": "away"})))
        };
        self.leave(number).await;
        stored
    }

    async fn download(&self, url: &str, _: u64, _: u32) -> Result<FileInMemory, CopyError> {
        Err(CopyError::Transient(format!("{url} is not to be had")))
    }

    async fn notify(&self, queue: &str, message: &str, delay_s: u32) -> Result<(), TransportError> {
        let number = self.enter().await;
        functions::enqueue_message(&self.world, &self.actor.name, queue, message, delay_s);
        self.leave(number).await;
        Ok(())
    }

    fn log(&self, line: &Value) {
        self.world.log(&self.actor.name, line);
    }
}

impl Streams for Worker {
    async fn stream(
        &self,
        request: HttpRequest,
        _: u32,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> HttpResult {
        let video = self.video_at(&request.url);
        let answer = self.send(request).await?;
        if let Some(video) = video.filter(|_| answer.status == 200) {
            take(&video);
        }
        Ok(answer)
    }
}

impl FunctionCalls for Worker {
    async fn call(&self, function: &str, request: HttpRequest) -> HttpResult {
        let number = self.enter().await;
        let called = functions::placed_run(&self.world, &self.actor.name, function, &request);
        let answered = called.await.unwrap_or_else(|_| Err(no_answer("the function died")));
        self.leave(number).await;
        answered
    }
}

/// What a future gives within that time.
pub async fn within<T>(
    world: &SimulatedWorld,
    ms: u64,
    work: impl Future<Output = T>,
) -> Option<T> {
    let (work, limit) = (std::pin::pin!(work), std::pin::pin!(world.scheduler.sleep(ms)));
    match select(work, limit).await {
        Either::Left((given, _)) => Some(given),
        Either::Right(_) => None,
    }
}
