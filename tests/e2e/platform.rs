//! Limits of the platform that a test on one machine hardly meets: few connections, callers who
//! disconnect, little memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use unstuck_tests::e2e::cards::{Cards, PROCESS, queue_is_off};
use unstuck_tests::e2e::order::{Order, TABLE, VIDEO, deliver};
use unstuck_tests::e2e::website::{self, Website};
use unstuck_tests::e2e::world::png;
use unstuck_tests::e2e::{self, World};

/// The memory of an isolate.
const GROWN_MB_MAX: u64 = 128;

/// The bytes that [`SlowFiles`] sends each second: fast enough that the copy is not given up.
const BYTES_A_SECOND: usize = 20_000;

/// Serves videos of one part a second, and counts how often each was fetched.
struct SlowFiles {
    address: String,
    fetched: Arc<[AtomicUsize; 10]>,
}

impl SlowFiles {
    async fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let fetched = Arc::<[AtomicUsize; 10]>::default();
        let counted = Arc::clone(&fetched);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(send_slowly(stream, Arc::clone(&counted)));
            }
        });
        Self { address, fetched }
    }

    fn url(&self, number: usize, seconds: usize) -> String {
        format!("http://{}/{number}/{seconds}/out.mp4", self.address)
    }
}

async fn send_slowly(mut stream: TcpStream, fetched: Arc<[AtomicUsize; 10]>) {
    let mut head = vec![0; 4096];
    let read = stream.read(&mut head).await.unwrap_or_default();
    let head = String::from_utf8_lossy(&head[..read]).into_owned();
    let mut path = head.split('/').skip(1).map_while(|part| part.parse::<usize>().ok());
    let (Some(number), Some(seconds)) = (path.next(), path.next()) else { return };
    fetched[number].fetch_add(1, Ordering::SeqCst);
    let length = BYTES_A_SECOND * seconds;
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: video/mp4\r\n\
         content-length: {length}\r\n\r\n"
    );
    let mut sent = stream.write_all(head.as_bytes()).await;
    for _ in 0..seconds {
        sent = sent.and(stream.write_all(&[7; BYTES_A_SECOND]).await);
        if sent.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Videos are copied by the queue's consumer. The copies of one batch keep their uploads open for
/// longer than a copy may stall, so no other copy of the same event may have begun by then.
#[test]
fn r09_ten_videos_at_once_are_delivered_by_one_copy_each() {
    e2e::run(async |world| {
        let files = SlowFiles::serve().await;
        let host =
            BTreeMap::from([("PROVIDER_OUTPUT_HOSTS".to_owned(), Some(files.address.clone()))]);
        world.restart_workers([("provider-webhook".to_owned(), host)].into()).await;
        world.set_provider("runninghub", "max_concurrent = 10").await;
        let unheard = json!({ "all": true, "work_ms": 1, "webhook": "lost" });
        world.script(json!({ "runninghub": unheard })).await;
        let mut orders = Vec::new();
        for number in 0..10 {
            let order = Order::by(world, &VIDEO).await;
            order.starts(world).await;
            let task = order.task(world).await;
            let seconds = if number < 7 { 22 } else { 1 };
            let result = json!([{ "url": files.url(number, seconds), "outputType": "mp4" }]);
            let body = json!({ "taskId": task, "status": "SUCCESS", "errorCode": "",
                "results": result });
            let query = format!("query {{\"taskId\":\"{task}\"");
            let rule = json!({ "match": query, "status": 200, "body": body });
            world.script(json!({ "runninghub": rule })).await;
            orders.push((order, json!({ "taskId": task, "status": "SUCCESS" })));
        }
        join_all(orders.iter().map(async |(order, body)| {
            let heard = deliver(world, &order.webhook(world).await, body).await;
            assert_eq!(heard.status, 200);
        }))
        .await;
        for (number, (order, _)) in orders.iter().enumerate() {
            order.assert_completed(world).await;
            assert_eq!(files.fetched[number].load(Ordering::SeqCst), 1, "copies of {number}");
        }
        let log = world.functions_log();
        assert!(!log.contains("copy_deferred"), "a copy failed: {log}");
    });
}

/// Calls a function as a scheduler does that disconnects after one second.
async fn leave_after_a_second(world: &World, function: &str) {
    let url = format!("{}/{function}", world.stack().info().functions_url);
    let secret = &world.stack().info().service_role_key;
    let call = world.http().post(url).bearer_auth(secret).timeout(Duration::from_secs(1));
    let left = call.send().await.is_err_and(|error| error.is_timeout());
    assert!(left, "{function} answered within a second, so nobody left it");
}

#[test]
fn c31_a_scheduler_that_waits_one_second_costs_no_card_an_attempt() {
    e2e::run(async |world| {
        queue_is_off(world).await;
        world.script(json!({ "gemini": { "all": true, "delay_ms": 5_000 } })).await;
        let order = Cards::ordered(world, &[0]).await;
        leave_after_a_second(world, PROCESS).await;
        order.until_over(world, "completed", 1).await;
        assert_eq!(order.steps(world).await[0]["attempts"], 1);
    });
}

#[test]
fn c31_a_submit_goes_on_when_its_caller_leaves() {
    e2e::run(async |world| {
        for function in ["runninghub-queue-manager/process-next", "cleanup-stale-jobs"] {
            world.set_provider("runninghub", "enabled = false").await;
            let order = Order::new(world).await;
            order.run(world).ok().await;
            let slow = json!({ "match": order.job, "delay_ms": 4_000, "webhook": "lost",
                "work": "until_finished" });
            world.script(json!({ "runninghub": slow })).await;
            world.set_provider("runninghub", "enabled = true").await;
            leave_after_a_second(world, function).await;
            world
                .until("the task is recorded", async || {
                    Some(order.step(world).await)
                        .filter(|step| step["provider_task_id"].is_string())
                })
                .await;
            assert_eq!(order.submits(world).await, 1, "{function}");
            world.admin_cancels(TABLE, order.job).await;
        }
    });
}

/// Five calls at once would hold the pictures of all five, each in several copies.
#[test]
fn r11_cards_with_large_inlined_pictures_fit_into_memory() {
    e2e::run(async |world| {
        let refusal = json!({ "error": { "code": 400, "status": "INVALID_ARGUMENT",
            "message": "Words." } });
        let rules = json!([
            { "match": "fileUri", "status": 400, "body": refusal },
            { "match": "inlineData", "delay_ms": 1_000 },
        ]);
        world.script(json!({ "gemini": rules })).await;
        let cards = [0, 1, 2, 3, 4];
        let mut order = Cards::new(world, &cards).await;
        let mut picture = png(40, 30);
        picture.resize(4 * 1024 * 1024, 0);
        order.body["productImages"][0]["url"] =
            json!(world.upload(&order.user, "large.png", "image/png", picture).await);
        let made = async {
            order.create(world).send().await.expect(202);
            order.until_over(world, "completed", cards.len()).await
        };
        let (_, memory) = world.memory_during(made).await;
        let grown = memory.peak - memory.before;
        assert!(grown < GROWN_MB_MAX, "workerd grew by {grown} MB");
        let attempts = order
            .steps(world)
            .await
            .iter()
            .map(|step| step["attempts"].clone())
            .collect::<Vec<_>>();
        assert_eq!(attempts, [1; 5]);
    });
}

/// The run that the queue started has no free lane, so the cron starts another run.
#[test]
fn r07_the_cron_starts_more_websites_while_a_long_batch_runs() {
    e2e::run(async |world| {
        world.script(json!({ "llm": { "match": "a slow page", "delay_ms": 60_000 } })).await;
        let mut slow = Vec::new();
        for _ in 0..4 {
            slow.push(Website::order(world, "a slow page").await);
        }
        for site in &slow {
            site.until_running(world, 1).await;
        }
        let quick = Website::order(world, "a quick page").await;
        // In this time the queue would start the website if it could.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let asked = Website::asked(world, "a quick page").await;
        assert!(asked.is_empty(), "the queue's run has no lane left: {asked:?}");
        world.fire(website::TOOL).await;
        quick.assert_completed(world, 0).await;
        for site in slow {
            assert_eq!(world.job(site.id).await["status"], "running", "the quick one went ahead");
        }
    });
}

#[test]
fn no_function_is_over_its_budget() {
    // To start a world builds all functions.
    e2e::run(async |_| xtask::size::check().unwrap());
}
