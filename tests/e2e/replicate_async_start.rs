//! `replicate-async-start`: a try-on is paid once and answered at once, whatever the provider does;
//! and complete try-ons.

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::e2e;
use uuid::Uuid;

use unstuck_tests::e2e::try_on::{
    CHECKER, CREDITS, PRICE, START, TryOn, WORKER, check, until_at_provider,
};

#[test]
fn three_garments_by_webhooks_alone() {
    e2e::run(async |world| {
        let try_on = TryOn::new(world, 3).await;
        let answer = try_on.start(world).ok().await;
        assert_eq!(answer["task_id"], json!(try_on.job));
        assert_has!(answer, { "status": "pending", "total_steps": 3 });
        assert!(
            answer["estimated_time_seconds"].as_u64().is_some_and(|seconds| seconds > 0),
            "{answer}"
        );
        assert_eq!(world.balance(&try_on.user).await, CREDITS - 3 * PRICE);
        try_on.assert_completed(world).await;
        let claimed_by = world.first_claim(try_on.job).await;
        assert_eq!(claimed_by, "user", "the order itself took the free slot");
        let creates = try_on.creates(world).await;
        for (number, create) in (1..).zip(&creates) {
            let body = &create["body"];
            assert_eq!(body["webhook_events_filter"], json!(["completed"]));
            let person = body["input"]["human_img"].as_str().expect("a person");
            let previous = format!("/results/{}/{}/{}-1-", try_on.user.id, try_on.job, number - 1);
            assert_eq!(
                person.contains(&previous),
                number > 1,
                "{person}: what the step before made, from our storage"
            );
        }
    });
}

#[test]
fn three_garments_by_the_checker_alone() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "webhook": "lost" } })).await;
        let try_on = TryOn::running(world, 3).await;
        for step in 1..=3 {
            let prediction = try_on.until_at_work(world, step).await;
            let status = try_on.status(world).await;
            assert_has!(status, { "status": "processing", "current_step": step });
            until_at_provider(world, &prediction, "succeeded").await;
            let report = check(world).await;
            assert_eq!(report["message"], "Checked 1 predictions", "{report}");
            let (advanced, completed) = if step < 3 { (1, 0) } else { (0, 1) };
            assert_has!(report, {
                "checked": 1,
                "advanced": advanced,
                "completed": completed,
                "remaining": 0,
            });
        }
        try_on.assert_completed(world).await;
    });
}

#[test]
fn three_garments_by_webhooks_and_checkers_at_once() {
    e2e::run(async |world| {
        let try_on = TryOn::running(world, 3).await;
        let look = async || {
            futures::join!(check(world), check(world), world.call(WORKER).by_service().ok());
            (try_on.row(world).await["status"] == "completed").then_some(())
        };
        world.until("the try-on ends", look).await;
        try_on.assert_completed(world).await;
    });
}

#[test]
fn a_replay_is_the_same_task_and_charges_nothing() {
    e2e::run(async |world| {
        world.script(json!({ "replicate": { "all": true, "work": "until_finished" } })).await;
        let try_on = TryOn::new(world, 2).await;
        let (first, second) = futures::join!(try_on.start(world).ok(), try_on.start(world).ok());
        assert_eq!(first["task_id"], second["task_id"]);
        for _ in 0..2 {
            world.finish(try_on.job).await;
        }
        try_on.assert_completed(world).await;
        let again = try_on.start(world).ok().await;
        assert_has!(again, { "replayed": true, "status": "completed" });
        let mut other = try_on.body.clone();
        other["prompt_hints"] = json!("striped");
        world.call(START).by(&try_on.user).json(&other).refused(409, "idempotency_conflict").await;
        let stranger = world.new_user(CREDITS).await;
        world.call(START).by(&stranger).json(&try_on.body).send().await;
        assert_eq!(world.balance(&stranger).await, CREDITS);
        // The header names the job's id in place of the body.
        let mut body = try_on.body.clone();
        body.as_object_mut().expect("fields").remove("job_id");
        let named = world
            .call(START)
            .by(&try_on.user)
            .header("idempotency-key", &try_on.job.to_string())
            .json(&body);
        assert_eq!(named.ok().await["replayed"], true);
        try_on.assert_completed(world).await;
    });
}

#[test]
fn what_cannot_be_made_is_refused_before_the_debit() {
    e2e::run(async |world| {
        let try_on = TryOn::new(world, 2).await;
        let own = world.stack().info().url.clone();
        let stranger = world.new_user(CREDITS).await;
        let strangers = world.upload_png(&stranger, 4, 4).await;
        let missing = format!(
            "{own}/storage/v1/object/public/uploads/{}/{}/a.png",
            try_on.user.id,
            Uuid::new_v4()
        );
        let garment = |image: &str, category: &str| json!({ "image": image, "category": category });
        let good = try_on.body["person_image"].as_str().expect("a picture").to_owned();
        let cases = [
            ("person_image", json!(missing), "person_image"),
            ("person_image", json!("https://evil.example/a.png"), "person_image"),
            ("person_image", json!(strangers), "person_image"),
            ("person_image", json!(7), "person_image"),
            ("garments", json!([]), "garments"),
            ("garments", json!(vec![garment(&good, "dresses"); 6]), "garments"),
            (
                "garments",
                json!([garment(&good, "dresses"), garment(&missing, "dresses")]),
                "garments[1].image",
            ),
            ("garments", json!([garment(&strangers, "dresses")]), "garments[0].image"),
            ("garments", json!([garment(&good, "hats")]), "garments[0].category"),
            ("job_id", json!("x"), "job_id"),
            ("prompt_hints", json!("x".repeat(2_001)), "prompt_hints"),
        ];
        for (field, value, named) in cases {
            let mut body = try_on.body.clone();
            body[field] = value;
            let refusal =
                world.call(START).by(&try_on.user).json(&body).refused(400, "bad_request").await;
            assert_eq!(refusal["field"], named, "{refusal}");
        }
        world.storage_is_down(503).await;
        try_on.start(world).refused(503, "upstream_unavailable").await;
        world.storage_is_up().await;
        world.set_tool(START, "enabled = false").await;
        try_on.start(world).refused(503, "tool_disabled").await;
        world.set_tool(START, "enabled = true").await;
        let poor = world.new_user(2 * PRICE - 1).await;
        let mut body = try_on.body.clone();
        for (pointer, name) in [
            ("/person_image", "p.png"),
            ("/garments/0/image", "a.png"),
            ("/garments/1/image", "b.png"),
        ] {
            let url = world.upload(&poor, name, "image/png", e2e::world::png(4, 4)).await;
            *body.pointer_mut(pointer).expect("a picture") = json!(url);
        }
        let refusal =
            world.call(START).by(&poor).json(&body).refused(402, "insufficient_credits").await;
        assert_has!(refusal, { "balance": 2 * PRICE - 1, "required": 2 * PRICE });
        let jobs = "select count(*) from unstuck.jobs";
        assert_eq!(world.db().int(jobs).await, 0);
        assert!(try_on.creates(world).await.is_empty());
        assert_eq!(world.balance(&try_on.user).await, CREDITS);
    });
}

#[test]
fn only_users_order() {
    e2e::run(async |world| {
        world.call(START).json(&json!({})).refused(401, "unauthorized").await;
        world.call(START).by_service().json(&json!({})).refused(403, "forbidden").await;
        world.get(START).by(&world.user(1).await).refused(405, "method_not_allowed").await;
    });
}

#[test]
fn calls_end_soon_while_the_provider_takes_two_seconds() {
    e2e::run(async |world| {
        world
            .script(json!({ "replicate": { "all": true,
            "delay_ms": 2000, "webhook": "lost" } }))
            .await;
        let mut took = Vec::new();
        let mut timed = async |name: &str, call: e2e::FunctionCall<'_>| {
            let began = tokio::time::Instant::now();
            let answer = call.ok().await;
            took.push((name.to_owned(), began.elapsed().as_millis()));
            answer
        };
        let try_on = TryOn::new(world, 2).await;
        timed("start", try_on.start(world)).await;
        timed(
            "status, pending",
            world.get(&format!("replicate-async-status?task_id={}", try_on.job)).by(&try_on.user),
        )
        .await;
        try_on.until_at_work(world, 1).await;
        let waiting = TryOn::waiting(world, 1).await;
        let worked = timed("worker", world.call(WORKER).by_service()).await;
        assert_has!(worked, { "task_id": waiting.job, "step": "1/1" });
        until_at_provider(world, &try_on.until_at_work(world, 1).await, "succeeded").await;
        timed("checker", world.call(CHECKER).by_service()).await;
        timed(
            "status",
            world.get(&format!("replicate-async-status?task_id={}", try_on.job)).by(&try_on.user),
        )
        .await;
        eprintln!("wall times in ms with a provider that takes 2 s to answer: {took:?}");
        for (name, ms) in &took {
            let most = if name == "checker" { 30_000 } else { 5_000 };
            assert!(*ms < most, "{name} took {ms} ms");
        }
        world.script(json!({ "reset": true })).await;
        for try_on in [&waiting, &try_on] {
            let look = async || {
                check(world).await;
                (try_on.row(world).await["status"] == "completed").then_some(())
            };
            world.until("it ends", look).await;
            try_on.assert_completed(world).await;
        }
    });
}
