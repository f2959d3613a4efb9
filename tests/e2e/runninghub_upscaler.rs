//! `runninghub-upscaler`: what a user gets for a picture, and that a repeated order costs nothing.

mod codes;
mod failures;
mod input;
mod old_client;
mod refusal;

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e;
use uuid::Uuid;

use unstuck_tests::e2e::order::{CREDITS, Order, PRICE, RUN, assert_bare, download, sweep_until};

#[test]
fn a_picture_comes_out_twice_the_size() {
    e2e::run(async |world| {
        let order = Order::sized(world, 37, 23).await;
        let answer = order.starts(world).await;
        assert_eq!(answer["success"], true);
        assert_eq!(answer["jobId"], json!(order.job));
        assert_has!(answer, { "creditsCharged": PRICE, "balance": CREDITS - PRICE });
        assert_eq!(answer.get("replayed"), None, "{answer}");

        let row = order.assert_completed(world).await;
        let picture = order.picture(world).await;
        assert_eq!((picture.width(), picture.height()), (74, 46));
        // The name is fenced and cannot be guessed: step, run, 128 random bits.
        let url = row["output_url"].as_str().expect("a result");
        let name = url.rsplit('/').next().unwrap_or_default();
        let random = name
            .strip_prefix("1-1-")
            .and_then(|rest| rest.strip_suffix(".png"))
            .unwrap_or_default();
        assert!(
            random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{name}"
        );

        assert_eq!(world.balance(&order.user).await, CREDITS - PRICE);
        assert_eq!(order.submits(world).await, 1);
        let states = format!(
            "select to_status from unstuck.job_events where job_id = '{}' and step is null
                order by id",
            order.job
        );
        let states: Vec<Value> =
            world.db().rows(&states).await.iter().map(|row| row["to_status"].clone()).collect();
        assert_eq!(states, ["queued", "starting", "running", "completed"]);
        assert_eq!(
            world.first_claim(order.job).await,
            "user",
            "the order itself took the free slot"
        );
        let status = order.status(world).await;
        assert_has!(status, { "status": "completed", "outputUrl": row["output_url"] });
        assert_has!(status, { "errorCode": null, "errorMessage": null });
        assert_has!(status, { "creditsRefunded": 0, "position": null });
    });
}

#[test]
fn the_receipt_is_for_its_owner() {
    e2e::run(async |world| {
        let order = Order::running(world).await;
        order.assert_completed(world).await;
        let stranger = world.new_user(0).await;
        let receipts = async |token: &str| -> Vec<Value> {
            let url = format!(
                "{}/rest/v1/job_receipts?job_id=eq.{}",
                world.stack().info().url,
                order.job
            );
            let request = world
                .http()
                .get(url)
                .bearer_auth(token)
                .header("apikey", &world.stack().info().anon_key);
            let request = request.header("accept-profile", "unstuck");
            request.send().await.expect("PostgREST answers").json().await.expect("rows")
        };
        let own = receipts(&order.user.token).await;
        assert_eq!(own.len(), 1, "{own:?}");
        assert_has!(own[0], { "credits_charged": PRICE, "credits_refunded": 0 });
        assert_eq!(own[0]["credits_paid"], PRICE);
        let entries = own[0]["entries"].as_array().expect("entries");
        assert_eq!(entries.len(), 1, "{entries:?}");
        assert_has!(entries[0], { "kind": "debit", "amount": -PRICE });
        assert_eq!(entries[0]["balance_after"], CREDITS - PRICE);
        assert!(receipts(&stranger.token).await.is_empty());
    });
}

#[test]
fn a_repeated_request_is_replayed_and_charges_nothing() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "times": 1, "work": "until_finished" } })).await;
        let order = Order::new(world).await;
        let first = order.starts(world).await;

        let while_running = order.run(world).ok().await;
        assert_eq!(while_running["replayed"], true, "{while_running}");
        assert_has!(while_running, { "status": "running", "taskId": first["taskId"] });
        // The same order in another form: the default value spelt out, another session, another
        // order of the fields, the id in a header.
        let words = json!({ "version": "standard", "resolution": 2048, "unknown": [1],
            "imageUrl": order.body["imageUrl"], "sessionId": "another page" });
        let by_header = world
            .call(RUN)
            .by(&order.user)
            .header("idempotency-key", &order.job.to_string())
            .json(&words)
            .ok()
            .await;
        assert_has!(by_header, { "replayed": true, "jobId": order.job });

        world.finish(order.job).await;
        let row = order.assert_completed(world).await;
        let after = order.run(world).ok().await;
        assert_has!(after, { "replayed": true, "status": "completed" });
        assert_eq!(after["outputUrl"], row["output_url"]);
        for answer in [while_running, by_header, after] {
            assert_eq!(answer["success"], true);
            assert_has!(answer, { "creditsCharged": PRICE, "balance": CREDITS - PRICE });
        }
        assert_eq!(order.submits(world).await, 1);
        assert_eq!(world.balance(&order.user).await, CREDITS - PRICE);
    });
}

#[test]
fn many_at_once_are_one_job_and_one_charge() {
    e2e::run(async |world| {
        let order = Order::new(world).await;
        let answers = futures::future::join_all((0..8).map(|_| order.run(world).ok())).await;
        let replayed = answers.iter().filter(|answer| answer["replayed"] == true).count();
        assert_eq!(replayed, 7, "{answers:?}");
        order.assert_completed(world).await;
        assert_eq!(order.submits(world).await, 1);
    });
}

#[test]
fn a_replay_does_not_need_its_picture_any_more() {
    e2e::run(async |world| {
        let order = Order::running(world).await;
        order.assert_completed(world).await;
        let object = order.body["imageUrl"]
            .as_str()
            .and_then(|url| url.split("/public/").nth(1))
            .expect("an object");
        let url = format!("{}/storage/v1/object/{object}", world.stack().info().url);
        let removed = world
            .http()
            .delete(url)
            .bearer_auth(&world.stack().info().service_role_key)
            .send()
            .await;
        assert_eq!(removed.expect("storage answers").status(), 200);
        let answer = order.run(world).ok().await;
        assert_has!(answer, { "replayed": true, "status": "completed" });
    });
}

#[test]
fn without_an_id_the_function_makes_one() {
    e2e::run(async |world| {
        let mut order = Order::new(world).await;
        order.body.as_object_mut().expect("a body").remove("jobId");
        let answer = order.starts(world).await;
        order.job = answer["jobId"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        order.assert_completed(world).await;

        let next = order.again();
        let named = Uuid::new_v4();
        let body = json!({ "imageUrl": next.body["imageUrl"] });
        let answer = world
            .call(RUN)
            .by(&next.user)
            .header("idempotency-key", &named.to_string())
            .json(&body)
            .ok()
            .await;
        assert_eq!(answer["jobId"], json!(named), "{answer}");
    });
}

#[test]
fn the_same_id_with_another_input_is_a_conflict() {
    e2e::run(async |world| {
        let order = Order::running(world).await;
        for (field, value) in
            [("resolution", json!(4096)), ("prompt", json!("sharper")), ("version", json!("pro"))]
        {
            let mut body = order.body.clone();
            body[field] = value;
            let refusal = world
                .call(RUN)
                .by(&order.user)
                .json(&body)
                .refused(409, "idempotency_conflict")
                .await;
            assert_bare(&refusal);
        }
        order.assert_completed(world).await;
        assert_eq!(world.balance(&order.user).await, CREDITS - PRICE);
    });
}

#[test]
fn the_id_of_another_user_is_a_conflict_that_reveals_nothing() {
    e2e::run(async |world| {
        let order = Order::running(world).await;
        let mut thief = Order::new(world).await;
        thief.body["jobId"] = json!(order.job);
        let refusal = thief.run(world).refused(409, "idempotency_conflict").await;
        assert_bare(&refusal);
        assert_eq!(world.balance(&thief.user).await, CREDITS);
        order.assert_completed(world).await;
        thief.run(world).refused(409, "idempotency_conflict").await;
        assert_eq!(order.row(world).await["user_id"], json!(order.user.id));
    });
}

#[test]
fn one_live_job_per_user() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "times": 1, "work": "until_finished" } })).await;
        let order = Order::running(world).await;
        let next = order.again();
        let refusal = next.run(world).refused(409, "active_job_exists").await;
        assert_has!(refusal, { "activeJobId": order.job, "activeTool": "runninghub-upscaler" });
        assert_eq!(refusal["activeStatus"], "running");
        assert_eq!(world.balance(&order.user).await, CREDITS - PRICE);
        let jobs = format!("select count(*) from unstuck.jobs where id = '{}'", next.job);
        assert_eq!(world.db().int(&jobs).await, 0, "the refused one does not exist");
        world.finish(order.job).await;
        order.assert_completed(world).await;
        next.starts(world).await;
        next.assert_completed(world).await;
        assert_eq!(world.balance(&order.user).await, CREDITS - 2 * PRICE);
    });
}

#[test]
fn of_many_different_ones_at_once_one_is_taken() {
    e2e::run(async |world| {
        world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
        let first = Order::new(world).await;
        let orders: Vec<Order> = (0..6).map(|_| first.again()).collect();
        let answers =
            futures::future::join_all(orders.iter().map(|order| order.run(world).send())).await;
        let mut taken = Vec::new();
        for (order, answer) in orders.iter().zip(answers) {
            match answer.status {
                200 => taken.push(order),
                _ => drop(answer.expect_refusal(409, "active_job_exists")),
            }
        }
        assert_eq!(taken.len(), 1);
        world.finish(taken[0].job).await;
        taken[0].assert_completed(world).await;
        assert_eq!(world.balance(&first.user).await, CREDITS - PRICE);
    });
}

#[test]
fn users_at_once_are_each_told_their_task() {
    e2e::run(async |world| {
        // The request that claims first submits the steps of the others too.
        world
            .script(json!({ "runninghub": { "all": true,
            "delay_ms": 400, "work": "until_finished" } }))
            .await;
        let mut orders = Vec::new();
        for _ in 0..3 {
            orders.push(Order::new(world).await);
        }
        futures::future::join_all(orders.iter().map(|order| order.starts(world))).await;
        for order in &orders {
            world.finish(order.job).await;
            order.assert_completed(world).await;
            assert_eq!(order.submits(world).await, 1);
        }
    });
}

#[test]
fn an_own_result_is_an_input() {
    e2e::run(async |world| {
        let order = Order::sized(world, 8, 6).await;
        order.starts(world).await;
        let row = order.assert_completed(world).await;
        let next = Order::of(order.user.clone(), row["output_url"].as_str().expect("a result"));
        next.starts(world).await;
        next.assert_completed(world).await;
        let picture = next.picture(world).await;
        assert_eq!((picture.width(), picture.height()), (32, 24));
        assert!(
            !download(world, row["output_url"].as_str().expect("a result")).await.is_empty(),
            "the first one stays"
        );
    });
}

#[test]
fn the_provider_gets_what_was_asked_for() {
    e2e::run(async |world| {
        let mut order = Order::new(world).await;
        let more = json!({ "version": "pro", "resolution": 4096, "detailDenoise": 0.5,
            "prompt": "schärfer, bitte 🙂" });
        order
            .body
            .as_object_mut()
            .expect("a body")
            .extend(more.as_object().expect("fields").clone());
        order.starts(world).await;
        let submit = world.submits_of(order.job).await.remove(0);
        let path = submit["path"].as_str().unwrap_or_default();
        assert!(path.ends_with("/openapi/v2/run/ai-app/1900000000000000003"), "{path}");
        let nodes = submit["body"]["nodeInfoList"].to_string();
        for value in [
            order.body["imageUrl"].as_str().expect("a URL"),
            "\"4096\"",
            "\"0.5\"",
            "schärfer, bitte 🙂",
        ] {
            assert!(nodes.contains(value), "{value} in {nodes}");
        }
        assert!(!submit.to_string().contains("rh-local-key"), "no key in what is kept");
        order.assert_completed_for(world, 90).await;
    });
}

#[test]
fn the_status_is_for_the_owner_by_get_and_post() {
    e2e::run(async |world| {
        world.set_provider("runninghub", "enabled = false").await;
        let order = Order::new(world).await;
        order.run(world).ok().await;
        let path = format!("runninghub-upscaler/queue-status?jobId={}", order.job);
        let by_get = world.get(&path).by(&order.user).ok().await;
        assert_eq!(by_get, order.status(world).await);
        assert_has!(by_get, { "status": "queued", "position": 1 });
        assert!(by_get["etaSeconds"].is_u64(), "{by_get}");
        let stranger = world.new_user(0).await;
        world.get(&path).by(&stranger).refused(404, "not_found").await;
        let unknown = json!({ "jobId": Uuid::new_v4() });
        let ask = |body: &Value| {
            world.call("runninghub-upscaler/queue-status").by(&order.user).json(body)
        };
        ask(&unknown).refused(404, "not_found").await;
        for (body, word) in [
            (json!({}), "jobId"),
            (json!({ "jobId": "x" }), "jobId"),
            (json!({ "jobId": 7 }), "jobId"),
        ] {
            let refusal = ask(&body).refused(400, "bad_request").await;
            assert!(refusal["message"].as_str().unwrap_or_default().contains(word), "{refusal}");
        }
    });
}

#[test]
fn a_disabled_provider_makes_jobs_wait() {
    e2e::run(async |world| {
        world.set_provider("runninghub", "enabled = false").await;
        let order = Order::new(world).await;
        let answer = order.run(world).ok().await;
        assert_has!(answer, { "success": true, "queued": true });
        assert_has!(answer, { "status": "queued", "position": 1 });
        assert!(answer["etaSeconds"].is_u64(), "{answer}");
        assert_has!(answer, { "creditsCharged": PRICE, "balance": CREDITS - PRICE });
        world.sweep().await;
        assert_eq!(order.submits(world).await, 0, "nothing is claimed");
        world.set_provider("runninghub", "enabled = true").await;
        sweep_until(world, "the job starts", async |_| order.submits(world).await == 1).await;
        order.assert_completed(world).await;
    });
}
