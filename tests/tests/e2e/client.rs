//! The official client library against the stack, as a page would use it.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use unstuck_tests::e2e::{self, World};
use xtask::paths;

/// Runs a script of `tests/client` with the stack's addresses, and gives what it printed.
fn script(world: &World, name: &str) -> Value {
    let info = json!({
        "url": world.stack().info().url,
        "anonKey": world.stack().info().anon_key,
        "publishableKey": world.stack().keys().publishable_key,
        "serviceRoleKey": world.stack().info().service_role_key,
        "users": world.stack().info().users,
    });
    let mut node = Command::new(paths::node_bin("node"));
    node.arg(paths::root().join("tests/client").join(name)).env("STACK", info.to_string()).stdin(Stdio::null());
    let output = node.output().expect("node runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}:\n{stdout}\n{stderr}");
    serde_json::from_str(stdout.trim()).unwrap_or_else(|error| panic!("{name}: {error}\n{stdout}"))
}

#[test]
fn a_page_signs_in_uploads_orders_and_reads() {
    e2e::run(async |world| {
        let seen = script(world, "upscale.mjs");
        let run = &seen["run"];
        assert_eq!(
            (&run["success"], &run["creditsCharged"], &run["balance"]),
            (&json!(true), &json!(60), &json!(940)),
            "{seen:#}"
        );
        assert_eq!(seen["replay"]["replayed"], true, "{seen:#}");
        assert_eq!(
            (&seen["last"]["status"], &seen["last"]["creditsRefunded"]),
            (&json!("completed"), &json!(0)),
            "{seen:#}"
        );
        assert_eq!(seen["picture"], json!({ "type": "image/png", "width": 24, "height": 18 }), "{seen:#}");
        let row = &seen["row"];
        assert_eq!(
            (&row["id"], &row["status"], &row["user_credit_cost"]),
            (&run["jobId"], &json!("completed"), &json!(60)),
            "{seen:#}"
        );
        assert_eq!(row["output_url"], seen["last"]["outputUrl"], "{seen:#}");
        assert_eq!(seen["rowsOfAnother"], json!([]), "{seen:#}");
        assert_eq!(world.balance(&world.user(1).await).await, 940);
    });
}

#[test]
fn a_refusal_reaches_the_page_with_its_fields() {
    e2e::run(async |world| {
        let user = world.user(2).await;
        let spent = "insert into public.credit_entries (user_id, kind, amount, reason)";
        world.db().exec(&format!("{spent} values ('{}', 'adjustment', -950, 'spent elsewhere')", user.id)).await;
        let seen = script(world, "refusals.mjs");
        let poor = &seen["poor"];
        assert_eq!((&poor["name"], &poor["status"]), (&json!("FunctionsHttpError"), &json!(402)), "{seen:#}");
        let body = &poor["body"];
        assert_eq!(
            (&body["code"], &body["balance"], &body["required"]),
            (&json!("insufficient_credits"), &json!(50), &json!(60)),
            "{seen:#}"
        );
        assert_eq!(body["error"], body["message"], "{seen:#}");
        assert_eq!(
            (&seen["signedOut"]["status"], &seen["signedOut"]["body"]["code"]),
            (&json!(401), &json!("unauthorized")),
            "{seen:#}"
        );
        assert_eq!(
            (&seen["unknown"]["status"], &seen["unknown"]["body"]["code"]),
            (&json!(404), &json!("not_found")),
            "{seen:#}"
        );
        assert_eq!(seen["forbiddenUpload"], true, "{seen:#}");
        assert_eq!(seen["forbiddenWrite"], true, "{seen:#}");
        assert_eq!(seen["service"]["success"], true, "{seen:#}");
        assert_eq!(world.db().int("select count(*) from public.jobs").await, 0);
        assert_eq!(world.balance(&user).await, 50);
    });
}

/// The old tables that an older page may write to: its own rows, which wait for their `/run`.
const WRITABLE: [&str; 4] = ["upscaler_jobs", "video_upscaler_jobs", "pose_changer_jobs", "veste_ai_jobs"];

#[test]
fn an_older_page_writes_its_own_row_and_nothing_else() {
    e2e::run(async |world| {
        let seen = script(world, "old_page.mjs");
        for row in [&seen["inserted"], &seen["last"]] {
            assert_eq!((&row["session_id"], &row["user_id"]), (&json!("an old page"), &json!(world.user(1).await.id)));
            assert!(!row["created_at"].as_str().unwrap().starts_with("2020"), "{row:#}");
        }
        let inserted = &seen["inserted"];
        assert_eq!((&inserted["status"], &inserted["user_credit_cost"]), (&json!("queued"), &json!(0)), "{inserted:#}");
        for forged in ["output_url", "task_id", "position", "queued_at", "started_at", "completed_at"] {
            assert!(inserted[forged].is_null(), "{forged}: {inserted:#}");
        }
        assert_eq!(seen["updated"], json!([]), "{seen:#}");

        assert_ne!(seen["forAnother"], "allowed", "{seen:#}");
        for (table, answer) in seen["intoAnyTable"].as_object().unwrap() {
            assert_eq!(answer == "allowed", WRITABLE.contains(&table.as_str()), "{table}: {answer}");
        }
        assert_eq!(seen["thousand"]["message"], "rate_limited", "{seen:#}");
        // The row of its own and those into each table count.
        assert_eq!(seen["onebyone"], 20 - 1 - WRITABLE.len(), "{seen:#}");
        let ended = seen["ended"].as_array().unwrap();
        assert!(ended.iter().all(|row| row["status"] == "cancelled"), "{seen:#}");
        assert_eq!(ended.len(), 20 - WRITABLE.len(), "{seen:#}");
        assert_ne!(seen["removed"], "allowed", "{seen:#}");
        assert_ne!(seen["taken"], "allowed", "{seen:#}");
        assert_eq!(seen["seenByAnother"], json!([]), "{seen:#}");
        assert_eq!(seen["adoption"]["code"], "idempotency_conflict", "{seen:#}");

        assert_eq!(
            (&seen["run"]["status"], &seen["run"]["replayed"], &seen["run"]["balance"]),
            (&json!("running"), &json!(null), &json!(940)),
            "{seen:#}"
        );
        let last = &seen["last"];
        assert_eq!((&last["status"], &last["user_credit_cost"]), (&json!("completed"), &json!(60)), "{last:#}");
        assert_eq!(last["input_file_name"], seen["imageUrl"], "the address, not the name: {last:#}");
        assert_eq!((world.balance(&world.user(1).await).await, world.balance(&world.user(2).await).await), (940, 1000));
        world.db().assert_healthy().await;
    });
}
