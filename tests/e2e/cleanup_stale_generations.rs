//! `cleanup-stale-generations`: a website whose worker died is retried with the service key over
//! the binding, at most twice, and is paid once.

mod files;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use unstuck_tests::assert_has;
use unstuck_tests::e2e::{self, World};
use uuid::Uuid;

use unstuck_tests::e2e::website::{CREDITS, PRICE, TOOL, Website, clean_up, content};

/// Orders a website and kills its attempt in the middle of the stream. Its lease has expired.
async fn killed(world: &World, tool: &'static str) -> Website {
    let prompt = format!("killed {}", Uuid::new_v4());
    world.script(json!({ "llm": { "match": prompt, "times": 1, "hang": true } })).await;
    let website = Website::of(world, world.new_user(CREDITS).await, tool, &prompt).await;
    until_written(world, &website, &prompt, 1).await;
    world.kill_workerd().await;
    website.lease_is_over(world).await;
    website
}

/// Waits until the model writes for this attempt.
async fn until_written(world: &World, website: &Website, prompt: &str, run: usize) {
    website.until_running(world, run as i64).await;
    world
        .until("the model is asked", async || {
            (Website::asked(world, prompt).await.len() == run).then_some(())
        })
        .await;
}

#[test]
fn killed_in_mid_stream_it_is_retried_over_the_binding_and_completes() {
    e2e::run(async |world| {
        for tool in [TOOL, "generate-react-website", "generate-php-website"] {
            let website = killed(world, tool).await;
            let report = clean_up(world).await;
            assert_has!(report, { "processed": 1, "retried": 1, "failed": 0 });
            assert_has!(report, { "refundedCredits": 0, "remaining": 0, "success": true });
            website.assert_completed(world, 1).await;
            assert_eq!(website.step(world).await["run"], 2, "files of one attempt only");
            let note = world
                .db()
                .row(&format!(
                    "select admin_note, retries from unstuck.generation_history where id = '{}'",
                    website.id
                ))
                .await;
            assert_eq!(note, json!({ "admin_note": "retry:1", "retries": 1 }));
            let receipt = world
                .db()
                .row(&format!(
                    "select retries, credits_paid from unstuck.job_receipts where job_id = '{}'",
                    website.id
                ))
                .await;
            assert_eq!(receipt["retries"], 1);
            let log = world.functions_log();
            assert!(
                log.contains(&format!("Auto-retrying generation {} via {tool}", website.id)),
                "{log}"
            );
            assert!(log.contains("\"mode\":\"retry\""), "the function logs it too: {log}");
        }
        let again = clean_up(world).await;
        assert_eq!(again["processed"], 0, "{again}");
    });
}

#[test]
fn its_cron_does_the_same() {
    e2e::run(async |world| {
        let website = killed(world, TOOL).await;
        world.fire("cleanup-stale-generations").await;
        website.assert_completed(world, 1).await;
    });
}

#[test]
fn killed_three_times_it_is_failed_and_refunded_once() {
    e2e::run(async |world| {
        world.script(json!({ "llm": { "all": true, "hang": true } })).await;
        let website = Website::order(world, "always hangs").await;
        for run in 1..=3 {
            until_written(world, &website, "always hangs", run).await;
            world.kill_workerd().await;
            website.lease_is_over(world).await;
            let report = clean_up(world).await;
            let expected = if run < 3 { json!([1, 0, 0]) } else { json!([0, 1, PRICE]) };
            assert_eq!(
                json!([report["retried"], report["failed"], report["refundedCredits"]]),
                expected,
                "{report}"
            );
        }
        let message = website.assert_returned(world, "TIMEOUT").await;
        assert!(message.contains("3 attempts"), "{message}");
        assert_eq!(website.step(world).await["attempts"], 3);
        assert_eq!(Website::asked(world, "always hangs").await.len(), 3);
        assert_eq!(world.balance(&website.user).await, CREDITS);
        assert_eq!(clean_up(world).await["processed"], 0);
    });
}

#[test]
fn two_cleanups_at_once_retry_one_once() {
    e2e::run(async |world| {
        let website = killed(world, TOOL).await;
        let (one, two) = tokio::join!(clean_up(world), clean_up(world));
        let sum = |name: &str| one[name].as_i64().unwrap_or(9) + two[name].as_i64().unwrap_or(9);
        assert_eq!((sum("retried"), sum("failed"), sum("processed")), (1, 0, 1), "{one} {two}");
        website.assert_completed(world, 1).await;
    });
}

#[test]
fn one_that_lives_is_left_alone() {
    e2e::run(async |world| {
        world.script(json!({ "llm": { "all": true, "work": "until_finished" } })).await;
        let website = Website::order(world, "well").await;
        website.until_running(world, 1).await;
        assert_eq!(clean_up(world).await["processed"], 0);
        world.finish("well").await;
        website.assert_completed(world, 0).await;
        assert_eq!(clean_up(world).await["processed"], 0);
    });
}

#[test]
fn a_late_first_attempt_changes_nothing() {
    e2e::run(async |world| {
        // The first attempt writes slowly, and another text than the second.
        let slow = json!({ "files": [{ "path": "index.html", "content": "the first attempt" }] });
        world
            .script(json!({ "llm": { "match": "overtaken", "times": 1, "work": "until_finished",
            "text": slow } }))
            .await;
        let website = Website::order(world, "overtaken").await;
        website.until_running(world, 1).await;
        website.lease_is_over(world).await;
        assert_eq!(clean_up(world).await["retried"], 1);
        let seen = website.assert_completed(world, 1).await;
        assert!(!content(&seen, "index.html").contains("the first attempt"));
        let row = world.job(website.id).await;
        world.finish("overtaken").await;
        let ended = async || {
            let line = format!("\"job_id\":\"{}\"", website.id);
            let log = world.functions_log();
            log.lines()
                .any(|text| text.contains(&line) && text.contains("\"outcome\":\"superseded\""))
                .then_some(())
        };
        world.until("the first attempt has come to its end", ended).await;
        assert_eq!(world.job(website.id).await, row, "nothing has changed");
        assert_eq!(website.assert_completed(world, 1).await, seen);
    });
}

#[test]
fn a_call_that_fails_puts_the_website_back() {
    e2e::run(async |world| {
        let website = killed(world, TOOL).await;
        let broken = BTreeMap::from([("SUPABASE_URL".to_owned(), None)]);
        world.restart_workers([(TOOL.to_owned(), broken)].into()).await;
        let report = clean_up(world).await;
        assert_has!(report, { "retried": 0, "remaining": 1 });
        assert_eq!(
            website.step(world).await["checked_at"],
            Value::Null,
            "the website is put back at once"
        );
        assert_eq!(world.job(website.id).await["retries"], 0);
        world.restart_workers([].into()).await;
        assert_eq!(clean_up(world).await["retried"], 1);
        website.assert_completed(world, 1).await;
    });
}

#[test]
fn without_its_cleanup_the_sweep_closes_it_three_minutes_past_its_deadline() {
    e2e::run(async |world| {
        let website = killed(world, TOOL).await;
        world.db().age(website.id, "12 minutes").await;
        world.sweep().await;
        assert_eq!(
            world.job(website.id).await["status"],
            "running",
            "its own cleanup may still retry it"
        );
        world.db().age(website.id, "61 seconds").await;
        world.sweep().await;
        website.assert_returned(world, "TIMEOUT").await;
    });
}
