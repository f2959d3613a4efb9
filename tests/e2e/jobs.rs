//! `jobs`: jobs of every tool in one vocabulary, and orders that the service places on behalf of a
//! user.

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::cards::Cards;
use unstuck_tests::e2e::order::{CREDITS, Order, POSE, TOOLS, UPSCALER};
use unstuck_tests::e2e::try_on::TryOn;
use unstuck_tests::e2e::{self, FunctionCall, TestUser, World};
use uuid::Uuid;

const CARDS: &str = "create-generation-job-banana";
const TRY_ON: &str = "replicate-async-start";

/// The body that orders by `jobs` what `own` orders at the tool's own endpoint.
fn by_jobs(tool: &str, own: &Value) -> Value {
    let mut input = own.clone();
    let mut order = json!({ "tool": tool });
    for (own, name) in [("jobId", "jobId"), ("job_id", "jobId"), ("sessionId", "sessionId")] {
        if let Some(value) = input.as_object_mut().unwrap().remove(own) {
            order[name] = value;
        }
    }
    order["input"] = input;
    order
}

fn order<'a>(world: &'a World, user: &TestUser, body: &Value) -> FunctionCall<'a> {
    world.call("jobs").by(user).json(body)
}

async fn known_to_auth(world: &World, user: &TestUser, is_anonymous: bool) {
    world
        .db()
        .exec(&format!(
            "alter table auth.users add column if not exists is_anonymous boolean default false;
             insert into auth.users (id, email, is_anonymous)
             values ('{0}', '{0}@app.example', {is_anonymous})",
            user.id
        ))
        .await;
}

/// Makes each task run until the test finishes it, so that its job runs when the order is answered.
async fn tasks_run_on(world: &World) {
    world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
}

#[test]
fn a_tool_at_runninghub_is_ordered_shown_and_listed_by_jobs() {
    e2e::run(async |world| {
        tasks_run_on(world).await;
        for tool in TOOLS {
            let own = Order::by(world, tool).await;
            let body = by_jobs(tool.name, &own.body);
            let ordered = order(world, &own.user, &body).send().await.expect(202);
            assert_has!(ordered, { "id": own.job, "tool": tool.name, "status": "running",
                "creditsCharged": tool.price, "balance": CREDITS - tool.price, "outputs": [] });
            world.finish(own.job).await;
            let row = own.assert_completed(world).await;
            let seen = world.get(&format!("jobs/{}", own.job)).by(&own.user).ok().await;
            assert_has!(seen, { "status": "completed", "error": null, "creditsRefunded": 0 });
            assert_eq!(seen["outputs"][0]["url"], row["output_url"]);
            let listed =
                world.get("jobs?cursor=&limit=5&status=completed").by(&own.user).ok().await;
            assert_eq!(listed, json!({ "jobs": [seen], "next": null }));
            let replay = order(world, &own.user, &body).ok().await;
            assert_has!(replay, { "id": own.job, "status": "completed", "replayed": true });
        }
    });
}

#[test]
fn cards_try_ons_and_websites_are_ordered_by_jobs() {
    e2e::run(async |world| {
        let cards = Cards::new(world, &[0, 2]).await;
        let body = by_jobs(CARDS, &cards.body);
        let ordered = order(world, &cards.user, &body).send().await.expect(202);
        assert_has!(ordered, { "tool": CARDS, "creditsCharged": 20 });
        let try_on = TryOn::new(world, 2).await;
        let body = by_jobs(TRY_ON, &try_on.body);
        let ordered = order(world, &try_on.user, &body).send().await.expect(202);
        assert_has!(ordered, { "tool": TRY_ON, "creditsCharged": 80 });
        let own = world.call(TRY_ON).by(&try_on.user).json(&try_on.body).ok().await;
        assert_has!(own, { "task_id": ordered["id"], "replayed": true });
        for (tool, price) in
            [("generate-website", 50), ("generate-react-website", 80), ("generate-php-website", 80)]
        {
            let user = world.new_user(CREDITS).await;
            // A retry cannot be ordered here, whatever the input says.
            let input =
                json!({ "prompt": "A page for a bakery", "retryHistoryId": Uuid::new_v4() });
            let body = json!({ "tool": tool, "input": input });
            let ordered = order(world, &user, &body).send().await.expect(202);
            assert_has!(ordered, { "tool": tool, "creditsCharged": price });
            let id: Uuid = ordered["id"].as_str().unwrap().parse().unwrap();
            world.until_status(id, "completed").await;
            let seen = world.get(&format!("jobs/{id}")).by(&user).ok().await;
            assert_eq!(seen["outputs"][0]["kind"], "files");
        }
    });
}

#[test]
fn either_endpoint_replays_the_order_of_the_other() {
    e2e::run(async |world| {
        tasks_run_on(world).await;
        let own = Order::running(world).await;
        let mut body = by_jobs(UPSCALER.name, &own.body);
        body["maxCredits"] = json!(1);
        let replay = order(world, &own.user, &body).send().await;
        assert!([200, 202].contains(&replay.status), "{replay:?}");
        assert_has!(replay.json, { "id": own.job, "replayed": true, "creditsCharged": 60 });
        body["input"]["resolution"] = json!(4096);
        order(world, &own.user, &body).refused(409, "idempotency_conflict").await;
        let mut other = Order::new(world).await;
        other.body["version"] = json!("standard");
        let ordered = order(world, &other.user, &by_jobs(UPSCALER.name, &other.body)).send().await;
        assert_eq!(ordered.status, 202, "{ordered:?}");
        assert_eq!(other.run(world).ok().await["replayed"], true);
        assert_eq!(other.submits(world).await, 1);
        assert_eq!(world.balance(&other.user).await, CREDITS - 60);
    });
}

#[test]
fn what_the_tool_refuses_is_refused_by_jobs_in_the_same_words() {
    e2e::run(async |world| {
        let own = Order::new(world).await;
        let refused = async |more: Value, status: u16, code: &str| {
            let mut body = by_jobs(UPSCALER.name, &own.body);
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            order(world, &own.user, &body).refused(status, code).await
        };
        for (more, field) in [
            (json!({ "input": { "imageUrl": 7 } }), "imageUrl"),
            (json!({ "input": { "resolution": "big" } }), "resolution"),
            (json!({ "input": [] }), "input"),
            (json!({ "jobId": "x" }), "jobId"),
            (json!({ "maxCredits": -1 }), "maxCredits"),
            (json!({ "sessionId": "x".repeat(201) }), "sessionId"),
            (json!({ "onBehalfOf": own.user.id }), "onBehalfOf"),
        ] {
            let refusal = refused(more, 400, "bad_request").await;
            assert_eq!(refusal["field"], field, "{refusal}");
            let message = refusal["message"].as_str().unwrap();
            assert!(!message.contains("u32") && !message.contains("u64"), "{message}");
        }
        assert_eq!(refused(json!({ "maxCredits": 59 }), 409, "price_changed").await["credits"], 60);
        for tool in ["no-tool", "jobs", "gateway", "admin-cancel-job", ""] {
            refused(json!({ "tool": tool }), 404, "not_found").await;
        }
        let poor = world.new_user(59).await;
        let body = json!({ "tool": "generate-react-website", "input": { "prompt": "x" } });
        order(world, &poor, &body).refused(402, "insufficient_credits").await;
        // Who calls is judged before the body.
        for body in [&body, &json!({}), &json!({ "tool": "no-tool" })] {
            world.call("jobs").json(body).refused(401, "unauthorized").await;
            for address in ["jobs", "quote"] {
                let call = world.call(address).bearer("garbage");
                call.json(body).refused(401, "unauthorized").await;
            }
            world.call("jobs").by_service().json(body).refused(403, "forbidden").await;
        }
        let allowed = world.call_with("DELETE", "jobs").by(&poor).send().await;
        assert_eq!((allowed.status, allowed.header("allow")), (405, "GET, POST, OPTIONS"));
        assert_eq!(world.count("jobs").await, 0);
    });
}

#[test]
fn a_job_is_cancelled_by_its_owner_and_by_nobody_else() {
    e2e::run(async |world| {
        let hang = json!({ "runninghub": { "all": true, "hang": true, "cancellable": true } });
        world.script(hang).await;
        world.db().exec("update unstuck.providers set max_concurrent = 1").await;
        Order::running(world).await;
        let waiting = Order::by(world, &POSE).await;
        let ordered = order(world, &waiting.user, &by_jobs(POSE.name, &waiting.body)).send().await;
        assert_has!(ordered.expect(202), { "status": "queued", "position": 1, "startedAt": null });
        let cancel = format!("jobs/{}/cancel", waiting.job);
        let other = world.new_user(0).await;
        world.call(&cancel).by(&other).refused(404, "not_found").await;
        world.get(&format!("jobs/{}", waiting.job)).by(&other).refused(404, "not_found").await;
        world.get("jobs/x").by(&other).refused(404, "not_found").await;
        let cancelled = world.call(&cancel).by(&waiting.user).ok().await;
        assert_has!(cancelled, { "status": "cancelled", "creditsRefunded": 60 });
        assert_eq!(cancelled["error"]["code"], "CANCELLED");
        world.call(&cancel).by(&waiting.user).refused(409, "already_final").await;
        assert_eq!(world.balance(&waiting.user).await, CREDITS);
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=x", "limit"),
            ("status=x", "status"),
            ("cursor=x", "cursor"),
        ] {
            let call = world.get(&format!("jobs?{query}")).by(&other);
            assert_eq!(call.refused(400, "bad_request").await["field"], field);
        }
    });
}

#[test]
fn the_service_orders_on_behalf_of_a_user_whom_the_project_has() {
    e2e::run(async |world| {
        let own = Order::new(world).await;
        let mut body = own.body.clone();
        body["onBehalfOf"] = json!(own.user.id);
        let run = || world.call("runninghub-upscaler/run").by_service();
        run().json(&body).refused(404, "not_found").await;
        known_to_auth(world, &own.user, false).await;
        run().json(&own.body).refused(403, "forbidden").await;
        for bad in [json!("x"), json!(7), json!("")] {
            let mut body = body.clone();
            body["onBehalfOf"] = bad;
            assert_eq!(run().json(&body).refused(400, "bad_request").await["field"], "onBehalfOf");
        }
        let answer = run().json(&body).ok().await;
        assert_has!(answer, { "jobId": own.job, "balance": CREDITS - 60 });
        own.assert_completed(world).await;
        let actor = format!(
            "select actor from unstuck.job_events
             where job_id = '{}' and event = 'job_created'",
            own.job
        );
        assert_eq!(world.db().value(&actor).await, "service");
        let listed = world.get("jobs").by(&own.user).ok().await;
        assert_eq!(listed["jobs"][0]["id"], json!(own.job), "the user sees it as an own one");
        let by_service = format!("jobs?onBehalfOf={}", own.user.id);
        assert_eq!(world.get(&by_service).by_service().ok().await, listed);
        world.get("jobs").by_service().refused(403, "forbidden").await;
        // The service may not use another user's file for this user.
        let other = world.new_user(CREDITS).await;
        known_to_auth(world, &other, false).await;
        let input = json!({ "imageUrl": own.body["imageUrl"] });
        let stolen = json!({ "tool": UPSCALER.name, "input": input, "onBehalfOf": other.id });
        let call = world.call("jobs").by_service().json(&stolen);
        assert_eq!(call.refused(400, "bad_request").await["field"], "imageUrl");
        // A user may never order or read on behalf of another user.
        let mut body = by_jobs(UPSCALER.name, &own.again().body);
        body["onBehalfOf"] = json!(own.user.id);
        order(world, &other, &body).refused(400, "bad_request").await;
        world.get(&by_service).by(&other).refused(400, "bad_request").await;
        let anonymous = world.new_user(CREDITS).await;
        known_to_auth(world, &anonymous, true).await;
        let site = json!({ "prompt": "A page", "onBehalfOf": anonymous.id });
        world.call("generate-website").by_service().json(&site).refused(403, "forbidden").await;
        assert_eq!(world.balance(&anonymous).await, CREDITS);
    });
}

#[test]
fn every_tools_own_endpoint_takes_the_services_orders() {
    e2e::run(async |world| {
        let site = world.new_user(CREDITS).await;
        let mut orders = vec![
            ("generate-website", site.clone(), json!({ "prompt": "A page" })),
            ("generate-react-website", site.clone(), json!({ "prompt": "A page" })),
            ("generate-php-website", site, json!({ "prompt": "A page" })),
        ];
        let cards = Cards::new(world, &[1]).await;
        orders.push((CARDS, cards.user.clone(), cards.body.clone()));
        let try_on = TryOn::new(world, 1).await;
        orders.push((TRY_ON, try_on.user.clone(), json!(try_on.body)));
        let mut known = Vec::new();
        for (target, user, mut body) in orders {
            if !known.contains(&user.id) {
                known_to_auth(world, &user, false).await;
                known.push(user.id);
            }
            body["onBehalfOf"] = json!(user.id);
            let before = world.balance(&user).await;
            let answer = world.call(target).by_service().json(&body).send().await;
            assert!([200, 202].contains(&answer.status), "{target}: {answer:?}");
            assert!(world.balance(&user).await < before, "{target}");
            world.call(target).by(&user).json(&body).refused(400, "bad_request").await;
        }
        let call = world.call("generate-website").by_service().json(&json!({ "prompt": "x" }));
        assert_eq!(call.refused(400, "bad_request").await["field"], "retryHistoryId");
    });
}
