//! Orders of pictures and videos as a client places them, and what the tests of several functions
//! read afterwards.

use super::world::png;
use super::{FunctionAnswer, FunctionCall, TestUser, World};
use serde_json::{Value, json};
use stand_ins::media::{Mp4Tables, SHORT_CLIP, SampleClip};
use uuid::Uuid;

/// What differs between the four tools for a client.
#[derive(Debug, PartialEq)]
pub struct MediaTool {
    pub name: &'static str,
    pub table: &'static str,
    pub price: i64,
    /// The fields that name a file; the tool's main input is the first.
    pub files: &'static [&'static str],
}

pub const UPSCALER: MediaTool =
    MediaTool { name: "runninghub-upscaler", table: TABLE, price: PRICE, files: &["imageUrl"] };
pub const VIDEO: MediaTool = MediaTool {
    name: "runninghub-video-upscaler",
    table: "video_upscaler_jobs",
    price: 120,
    files: &["videoUrl"],
};
pub const POSE: MediaTool = MediaTool {
    name: "runninghub-pose-changer",
    table: "pose_changer_jobs",
    price: 60,
    files: &["personImageUrl", "referenceImageUrl"],
};
pub const VESTE: MediaTool = MediaTool {
    name: "runninghub-veste-ai",
    table: "veste_ai_jobs",
    price: 60,
    files: &["personImageUrl", "clothingImageUrl"],
};
pub const TOOLS: [&MediaTool; 4] = [&UPSCALER, &VIDEO, &POSE, &VESTE];

pub const RUN: &str = "runninghub-upscaler/run";
pub const TABLE: &str = "upscaler_jobs";
pub const PRICE: i64 = 60;
pub const CREDITS: i64 = 1000;

/// An order of one tool, by default the upscaler, and of one user, by default a new one.
pub struct Order {
    pub tool: &'static MediaTool,
    pub user: TestUser,
    pub job: Uuid,
    pub body: Value,
}

impl Order {
    /// Uploads a picture of 16 × 12 as a new user; nothing is ordered yet.
    pub async fn new(world: &World) -> Self {
        Self::sized(world, 16, 12).await
    }

    pub async fn sized(world: &World, width: u32, height: u32) -> Self {
        let user = world.new_user(CREDITS).await;
        let image_url = world.upload_png(&user, width, height).await;
        Self::of(user, &image_url)
    }

    pub fn of(user: TestUser, image_url: &str) -> Self {
        Self::with(&UPSCALER, user, &[image_url])
    }

    /// Uploads the smallest files that the tool takes, as a new user; nothing is ordered yet.
    pub async fn by(world: &World, tool: &'static MediaTool) -> Self {
        let user = world.new_user(CREDITS).await;
        let mut urls = Vec::new();
        for field in tool.files {
            urls.push(upload(world, &user, field).await);
        }
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        Self::with(tool, user, &urls)
    }

    /// An order of files that are uploaded already.
    pub fn with(tool: &'static MediaTool, user: TestUser, urls: &[&str]) -> Self {
        let job = Uuid::new_v4();
        let mut body = json!({ "jobId": job, "sessionId": "a page" });
        for (field, url) in tool.files.iter().zip(urls) {
            body[*field] = json!(url);
        }
        Self { tool, user, job, body }
    }

    /// A second order with the same user and files.
    pub fn again(&self) -> Self {
        Self::with(self.tool, self.user.clone(), &self.urls())
    }

    /// The addresses of its files.
    pub fn urls(&self) -> Vec<&str> {
        self.tool.files.iter().map(|field| self.body[*field].as_str().expect("a file")).collect()
    }

    /// Orders an upscale, which the provider accepts.
    pub async fn running(world: &World) -> Self {
        let order = Self::new(world).await;
        order.starts(world).await;
        order
    }

    /// The request of the order, to which a test may add.
    pub fn run<'a>(&self, world: &'a World) -> FunctionCall<'a> {
        world.call(&format!("{}/run", self.tool.name)).by(&self.user).json(&self.body)
    }

    /// Sends the order, which the provider must accept.
    pub async fn starts(&self, world: &World) -> Value {
        let answer = self.run(world).ok().await;
        assert_eq!(answer["status"], "running", "{answer}");
        assert!(answer["taskId"].is_string(), "{answer}");
        answer
    }

    pub async fn status(&self, world: &World) -> Value {
        let target = format!("{}/queue-status", self.tool.name);
        world.call(&target).by(&self.user).json(&json!({ "jobId": self.job })).ok().await
    }

    pub async fn row(&self, world: &World) -> Value {
        world.job(self.job).await
    }

    pub async fn step(&self, world: &World) -> Value {
        world.db().step(self.job, 1).await
    }

    pub async fn task(&self, world: &World) -> String {
        let step = self.step(world).await;
        step["provider_task_id"]
            .as_str()
            .unwrap_or_else(|| panic!("the task is not known: {step}"))
            .to_owned()
    }

    /// How many submits of this job the provider received.
    pub async fn submits(&self, world: &World) -> usize {
        world.submits_of(self.job).await.len()
    }

    /// The webhook's address that the first submit sent to the provider.
    pub async fn webhook(&self, world: &World) -> String {
        let submits = world.submits_of(self.job).await;
        let url = submits.first().and_then(|submit| submit["body"]["webhookUrl"].as_str());
        url.expect("a submit with a webhook's address").to_owned()
    }

    pub async fn is_active(&self, world: &World) -> bool {
        let active =
            world.call("runninghub-queue-manager/check-user-active").by(&self.user).ok().await;
        active["hasActiveJob"].as_bool().expect("yes or no")
    }

    /// Waits until the job is completed; asserts that its file is delivered and paid once, and that
    /// the balance agrees.
    pub async fn assert_completed(&self, world: &World) -> Value {
        self.assert_completed_for(world, self.tool.price).await
    }

    /// Like [`Order::assert_completed`], for options that change the price.
    pub async fn assert_completed_for(&self, world: &World, price: i64) -> Value {
        let row = world.until_status(self.job, "completed").await;
        world.db().assert_closed(self.job, "completed", None, 0).await;
        let url = row["output_url"].as_str().unwrap_or_default();
        let place = format!(
            "{}/storage/v1/object/public/results/{}/{}/",
            world.stack().info().url,
            self.user.id,
            self.job
        );
        assert!(url.starts_with(&place), "{row:#}");
        assert_eq!(world.db().entries(self.job).await, [-price]);
        assert!(!self.is_active(world).await, "a user with nothing live is free");
        row
    }

    /// Waits until the job has ended without a result; asserts that all is refunded, that its
    /// message has the code, and that the user has no live job.
    pub async fn assert_returned(&self, world: &World, status: &str, code: &str) -> Value {
        let row = world.until_status(self.job, status).await;
        world.db().assert_closed(self.job, status, Some(code), self.tool.price).await;
        assert_eq!(row["output_url"], Value::Null, "{row:#}");
        assert_eq!(world.db().entries(self.job).await, [-self.tool.price, self.tool.price]);
        assert!(!self.is_active(world).await, "a user with nothing live is free");
        row
    }

    /// The delivered picture.
    pub async fn picture(&self, world: &World) -> image::DynamicImage {
        let row = self.row(world).await;
        let bytes = download(world, row["output_url"].as_str().expect("a result")).await;
        image::load_from_memory_with_format(&bytes, image::ImageFormat::Png).expect("a PNG")
    }

    /// Asserts that the delivered file is exactly what the stand-in's tool makes of these files.
    pub async fn assert_real(&self, world: &World) {
        if *self.tool == VIDEO {
            let row = self.row(world).await;
            let output = row["output_url"].as_str().expect("a result");
            let after = download_as(world, output, "video/mp4").await;
            let before = download_as(world, self.urls()[0], "video/mp4").await;
            let clip = SampleClip::of(&before).expect("a sample clip");
            assert!(after == clip.enlarged, "another video than the enlarged clip");
            let tables = |bytes: &[u8]| Mp4Tables::read(bytes).expect("a video");
            let Mp4Tables { size: (width, height), frames } = tables(&before);
            assert_eq!(tables(&after), Mp4Tables { size: (width * 2, height * 2), frames });
            return;
        }
        let result = self.picture(world).await.into_rgb8();
        let mut inputs = Vec::new();
        for url in self.urls() {
            inputs.push(
                image::load_from_memory(&download(world, url).await)
                    .expect("a picture")
                    .into_rgb8(),
            );
        }
        let (width, height) = inputs[0].dimensions();
        if *self.tool == UPSCALER {
            assert_eq!(result.dimensions(), (width * 2, height * 2));
            return;
        }
        // On the left the picture of the person is unchanged; on the right is the other picture.
        assert_eq!(result.dimensions(), (width * 2, height));
        assert!(
            inputs[0].enumerate_pixels().all(|(x, y, pixel)| result.get_pixel(x, y) == pixel),
            "the person"
        );
        let other = inputs[1].get_pixel(inputs[1].width() / 2, inputs[1].height() / 2);
        let shown = result.get_pixel(width + width / 2, height / 2);
        let differs = other.0.iter().zip(shown.0).map(|(a, b)| a.abs_diff(b)).max();
        assert!(differs < Some(24), "the other picture: {other:?} {shown:?}");
    }
}

/// Uploads a file that the field may name: a video, or a picture that differs from those of other
/// fields.
pub async fn upload(world: &World, user: &TestUser, field: &str) -> String {
    match field {
        "videoUrl" => world.upload(user, "in.mp4", "video/mp4", SHORT_CLIP.original.to_vec()).await,
        "imageUrl" | "personImageUrl" => world.upload_png(user, 16, 12).await,
        _ => world.upload(user, "other.png", "image/png", png(9, 30)).await,
    }
}

pub async fn download(world: &World, url: &str) -> Vec<u8> {
    download_as(world, url, "image/png").await
}

pub async fn download_as(world: &World, url: &str, content_type: &str) -> Vec<u8> {
    let answer = world.http().get(url).send().await.expect("storage answers");
    assert_eq!(answer.status(), 200, "{url}");
    assert_eq!(answer.headers()["content-type"], content_type);
    answer.bytes().await.expect("a body").to_vec()
}

/// Asserts that a refused order left nothing: no job, no entry but the grant, no submit.
pub async fn assert_nothing_happened(world: &World, order: &Order) {
    let mine = format!("where user_id = '{}'", order.user.id);
    assert_eq!(world.count(&format!("jobs {mine}")).await, 0, "no job");
    let entries = format!("select count(*) from unstuck.credit_entries {mine} and kind <> 'grant'");
    assert_eq!(world.db().int(&entries).await, 0, "no entry");
    assert_eq!(order.submits(world).await, 0, "no submit");
}

/// Asserts that a refusal has only the fields that every refusal has.
pub fn assert_bare(refusal: &Value) {
    let mut names: Vec<&str> =
        refusal.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["code", "error", "message", "request_id"], "{refusal}");
}

/// Replaces some of the fixed intervals: `orphan, grace, sql_wait, lease, check_every`.
pub async fn intervals(world: &World, changes: &[(&str, &str)]) {
    let usual = [
        ("orphan", "2 minutes"),
        ("grace", "2 minutes"),
        ("sql_wait", "3 minutes"),
        ("lease", "90 seconds"),
        ("check_every", "30 seconds"),
    ];
    let value = |name: &str, usual: &str| {
        let changed = changes.iter().find(|(changed, _)| *changed == name);
        format!("interval '{}'", changed.map_or(usual.to_owned(), |(_, value)| (*value).to_owned()))
    };
    let values: Vec<String> = usual.iter().map(|(name, usual)| value(name, usual)).collect();
    let sql = format!(
        "create or replace function unstuck_private.intervals()
         returns table (orphan interval, grace interval, sql_wait interval, lease interval,
         check_every interval)
         language sql stable as $$ select {} $$",
        values.join(", ")
    );
    world.db().exec(&sql).await;
}

/// Makes every sweep query every running step.
pub async fn ask_at_every_sweep(world: &World) {
    intervals(world, &[("check_every", "0 seconds")]).await;
}

/// Moves the deadlines of the job and its steps just into the past, and their last query back, so
/// that the next sweep asks about them. It is one transaction that writes the job first, because
/// every function locks in that order.
pub async fn overdue(world: &World, job: Uuid) {
    let now = "clock_timestamp() - interval '1 millisecond'";
    world
        .db()
        .exec(&format!(
            "update unstuck.jobs set deadline_at = {now} where id = '{job}';
             update unstuck.job_steps
             set deadline_at = {now}, checked_at = checked_at - interval '6 seconds'
             where job_id = '{job}'"
        ))
        .await;
}

/// Ends the delay before a job's retry, and the wait for its provider's next probe.
pub async fn retry_now(world: &World, job: Uuid) {
    world.db().probe_is_due().await;
    world
        .db()
        .exec(&format!(
            "update unstuck.job_steps set not_before = clock_timestamp() where job_id = '{job}'"
        ))
        .await;
}

/// Expires the leases of a job's steps.
pub async fn lease_is_over(world: &World, job: Uuid) {
    let past = "clock_timestamp() - interval '1 millisecond'";
    world
        .db()
        .exec(&format!("update unstuck.job_steps set lease_until = {past} where job_id = '{job}'"))
        .await;
}

/// Sweeps until `is_so` holds for a pass, and returns the report of that pass.
pub async fn sweep_until(
    world: &World,
    what: &str,
    mut is_so: impl AsyncFnMut(&Value) -> bool,
) -> Value {
    let look = async || {
        let report = world.sweep().await;
        is_so(&report).await.then_some(report)
    };
    world.until(what, look).await
}

/// The status of a task at the provider.
pub async fn at_provider(world: &World, task: &str) -> String {
    let url = format!("{}/runninghub/openapi/v2/query", world.stack().info().providers_url);
    let request =
        world.http().post(url).bearer_auth("rh-local-key").json(&json!({ "taskId": task }));
    let answer: Value =
        request.send().await.expect("the provider answers").json().await.expect("a task");
    answer["status"].as_str().unwrap_or_else(|| panic!("no status: {answer}")).to_owned()
}

/// Waits until a task has this status at the provider, whether or not a webhook was sent.
pub async fn until_at_provider(world: &World, task: &str, status: &str) {
    let look = async || (at_provider(world, task).await == status).then_some(());
    world.until(&format!("task {task} is {status} at the provider"), look).await;
}

/// Waits until the provider was told to cancel this task and has confirmed it.
pub async fn until_cancelled_at_provider(world: &World, task: &str) {
    let look = async || {
        let calls = world.provider_calls("/task/openapi/cancel").await;
        calls
            .iter()
            .any(|call| call["body"]["taskId"] == task && call["response"]["code"] == 0)
            .then_some(())
    };
    world.until(&format!("task {task} is cancelled at the provider"), look).await;
}

/// Sends a webhook to its address as the provider would.
pub async fn deliver(world: &World, url: &str, body: &Value) -> FunctionAnswer {
    let target = url
        .strip_prefix(&world.stack().info().functions_url)
        .expect("an address of ours")
        .trim_start_matches('/');
    world.call(target).json(body).send().await
}

/// The values that a submit sent to nodes: `(nodeId, fieldName, fieldValue)`.
pub fn nodes_of(submit: &Value) -> Vec<(&str, &str, &str)> {
    let nodes = submit["body"]["nodeInfoList"].as_array().expect("nodes");
    let [id, name, value] = ["nodeId", "fieldName", "fieldValue"].map(|field| {
        let texts: Vec<&str> =
            nodes.iter().map(|node| node[field].as_str().expect("text")).collect();
        texts
    });
    id.into_iter().zip(name).zip(value).map(|((id, name), value)| (id, name, value)).collect()
}

/// Asserts that each of these values in that field is refused with a 400 that names the field, as
/// is a body without the field if it names a file, and that none of these requests leaves a job.
pub async fn assert_field_at_fault(world: &World, order: &Order, field: &str, values: &[Value]) {
    let mut bodies: Vec<Value> = values.iter().map(|_| order.body.clone()).collect();
    for (body, value) in bodies.iter_mut().zip(values) {
        body[field] = value.clone();
    }
    if order.tool.files.contains(&field) {
        let mut without = order.body.clone();
        without.as_object_mut().expect("a body").remove(field);
        bodies.push(without);
    }
    for body in bodies {
        let call = world.call(&format!("{}/run", order.tool.name)).by(&order.user).json(&body);
        let refusal = call.refused(400, "bad_request").await;
        assert!(
            refusal["message"].as_str().unwrap_or_default().contains(field),
            "{body}: {refusal}"
        );
    }
    assert_nothing_happened(world, order).await;
}
