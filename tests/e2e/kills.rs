//! SIGKILL of the functions' runtime at the most harmful moments. No job stays stuck, none is
//! submitted twice, and every job ends delivered or refunded.

use std::future::Future;
use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use unstuck_tests::assert_has;
use unstuck_tests::e2e::hold::Hold;
use unstuck_tests::e2e::world::{PATIENCE, png};
use unstuck_tests::e2e::{self, World};

use unstuck_tests::e2e::order::{Order, lease_is_over, overdue, sweep_until, until_at_provider};

/// Sends the order and kills the runtime when `moment` has come. The caller's connection must
/// break.
async fn kill_during_run(world: &World, order: &Order, moment: impl Future<Output = ()>) {
    let info = world.stack().info();
    let request = world.http().post(format!("{}/runninghub-upscaler/run", info.functions_url));
    let request = request.bearer_auth(&order.user.token).json(&order.body).send();
    let killing = async {
        moment.await;
        world.kill_workerd().await;
    };
    let (answer, ()) = tokio::join!(request, killing);
    let answered_well = answer.is_ok_and(|answer| answer.status().is_success());
    assert!(!answered_well, "the kill came too late to hurt");
}

/// Asserts that the client's repeated order gets the present state of the job.
async fn assert_replayed(world: &World, order: &Order, status: &str) {
    let answer = order.run(world).ok().await;
    assert_has!(answer, { "replayed": true, "status": status });
    assert_eq!(order.submits(world).await, 1, "never submitted twice");
}

async fn arrives(world: &World, order: &Order) {
    world
        .until("the submit arrives", async || (order.submits(world).await == 1).then_some(()))
        .await;
}

#[test]
fn between_claim_and_submit_the_job_goes_back_and_completes() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        let hold = Hold::before_submit(world.stack().db().await.expect("a connection"))
            .await
            .expect("a trigger");
        let caught = async {
            let look = async || hold.has_caught().await.expect("the locks").then_some(());
            world.until("a worker is about to submit", look).await;
        };
        kill_during_run(world, &order, caught).await;
        hold.release().await.expect("the trigger goes");
        assert_eq!(order.row(world).await["status"], "starting");
        assert_eq!(order.submits(world).await, 0);
        lease_is_over(world, order.job).await;
        let report = world.sweep().await;
        assert_eq!(report["requeued"], 1, "{report}");
        order.assert_completed(world).await;
        assert_replayed(world, &order, "completed").await;
    });
}

#[test]
fn between_submit_and_recording_the_webhook_settles_it() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        // The task runs for longer than the restart: the provider gives up webhooks that nobody
        // answers.
        world
            .script(json!({ "runninghub": { "all": true,
            "delay_ms": 6000, "work": "until_finished" } }))
            .await;
        kill_during_run(world, &order, async {
            arrives(world, &order).await;
            let step = order.step(world).await;
            assert_has!(step, { "status": "starting", "provider_task_id": null });
        })
        .await;
        world.finish(order.job).await;
        order.assert_completed(world).await;
        assert_replayed(world, &order, "completed").await;
    });
}

#[test]
fn between_submit_and_recording_with_a_lost_webhook_the_deadline_settles_it() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        world
            .script(json!({ "runninghub": { "all": true,
            "delay_ms": 4000, "webhook": "lost" } }))
            .await;
        kill_during_run(world, &order, arrives(world, &order)).await;
        lease_is_over(world, order.job).await;
        world.sweep().await;
        assert_eq!(
            order.row(world).await["status"],
            "starting",
            "sent: not put back, not refunded"
        );
        assert_replayed(world, &order, "running").await;
        overdue(world, order.job).await;
        sweep_until(world, "the job is over", async |_| {
            order.row(world).await["status"] == "failed"
        })
        .await;
        order.assert_returned(world, "failed", "TIMEOUT").await;
        assert_replayed(world, &order, "failed").await;
    });
}

#[test]
fn a_page_that_closes_does_not_cut_off_the_submit() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        world.script(json!({ "runninghub": { "all": true, "delay_ms": 6000 } })).await;
        let info = world.stack().info();
        let request = world.http().post(format!("{}/runninghub-upscaler/run", info.functions_url));
        let request = request.bearer_auth(&order.user.token).json(&order.body).send();
        tokio::select! {
            answer = request => panic!("answered before the page closed: {answer:?}"),
            () = arrives(world, &order) => {}
        }
        world
            .until("the task is recorded", async || {
                order.step(world).await["provider_task_id"].as_str().map(drop)
            })
            .await;
        order.assert_completed(world).await;
        assert_replayed(world, &order, "completed").await;
    });
}

#[test]
fn while_the_provider_works_the_job_completes() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
        let order = Order::running(world).await;
        world.kill_workerd().await;
        world.finish(order.job).await;
        order.assert_completed(world).await;
        assert_replayed(world, &order, "completed").await;
    });
}

#[test]
fn while_the_provider_works_and_its_webhook_finds_nobody_the_sweep_delivers() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
        let order = Order::running(world).await;
        let task = order.task(world).await;
        // The functions are down for longer than the provider retries its webhook.
        world.stop_workers();
        world.finish(order.job).await;
        until_at_provider(world, &task, "SUCCESS").await;
        let given_up = async || {
            let deliveries = world.deliveries().await;
            (deliveries.iter().filter(|delivery| delivery["task_id"] == json!(task)).count() == 3)
                .then_some(())
        };
        world.until("the provider gives up calling", given_up).await;
        world.restart_workers([].into()).await;
        world.db().age(order.job, "31 seconds").await;
        let report = world.sweep().await;
        assert_eq!(report["delivered"], 1, "{report}");
        order.assert_completed(world).await;
        assert_replayed(world, &order, "completed").await;
    });
}

/// A server of a result: it sends half of the picture, and the rest only when the test allows it.
struct SlowFile {
    port: u16,
    asked: Arc<Semaphore>,
    rest: Arc<Semaphore>,
}

impl SlowFile {
    async fn serve(picture: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (asked, rest) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (told, allowed) = (Arc::clone(&asked), Arc::clone(&rest));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (picture, told, allowed) =
                    (picture.clone(), Arc::clone(&told), Arc::clone(&allowed));
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: \
                            {}\r\nconnection: close\r\n\r\n",
                        picture.len()
                    );
                    let (first, second) = picture.split_at(picture.len() / 2);
                    let _ = stream.write_all(&[head.as_bytes(), first].concat()).await;
                    told.add_permits(1);
                    if let Ok(permit) = allowed.acquire().await {
                        permit.forget();
                        let _ = stream.write_all(second).await;
                    }
                });
            }
        });
        Self { port, asked, rest }
    }
}

#[test]
fn while_the_result_is_copied_it_is_copied_again() {
    e2e::run(async |world| {
        let picture = png(300, 200);
        let file = SlowFile::serve(picture.clone()).await;
        let hosts = || {
            [("PROVIDER_OUTPUT_HOSTS".to_owned(), Some(format!("127.0.0.1:{}", file.port)))].into()
        };
        world
            .restart_workers(
                ["provider-webhook", "cleanup-stale-jobs"]
                    .map(|name| (name.to_owned(), hosts()))
                    .into(),
            )
            .await;
        world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
        let order = Order::running(world).await;
        let results = json!([{ "url": format!("http://127.0.0.1:{}/a.png", file.port),
            "outputType": "png" }]);
        let body = json!({ "taskId": order.task(world).await, "status": "SUCCESS", "errorCode": "",
            "errorMessage": "", "results": results });
        world
            .script(json!({ "reset": true, "runninghub": { "match": "/query", "body": body } }))
            .await;
        world.finish(order.job).await;

        let half = tokio::time::timeout(PATIENCE, file.asked.acquire()).await;
        half.expect("the copy begins").expect("a permit").forget();
        let step = order.step(world).await;
        assert!(!step["provider_done_at"].is_null() && step["status"] == "running", "{step:#}");
        world.kill_workerd().await;
        file.rest.add_permits(100);
        assert_eq!(order.row(world).await["status"], "running");
        assert!(order.is_active(world).await, "paid and not delivered yet");

        lease_is_over(world, order.job).await;
        let report =
            sweep_until(world, "the delivery", async |report| report["delivered"] == 1).await;
        assert_eq!(report["refundedCredits"], 0, "{report}");
        order.assert_completed(world).await;
        let stored = order.picture(world).await;
        assert_eq!((stored.width(), stored.height()), (300, 200), "whole");
        assert_replayed(world, &order, "completed").await;
    });
}
