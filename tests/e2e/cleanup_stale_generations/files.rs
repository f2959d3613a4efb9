//! Files that are kept no longer, and those of a user who was erased, are deleted; what a live job
//! needs stays.

use serde_json::{Value, json};
use unstuck_tests::e2e::{self, TestUser, World};

use unstuck_tests::e2e::order::Order;
use unstuck_tests::e2e::website::clean_up;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// `<bucket>/<path>` of a public URL.
fn path_of(url: &str) -> &str {
    url.split_once("/object/public/").expect("a public URL").1
}

/// The file was stored that many days ago.
fn age(world: &World, url: &str, days: u64) {
    let meta = world.stack().storage_dir().join(".meta").join(format!("{}.json", path_of(url)));
    let mut said: Value = serde_json::from_slice(&std::fs::read(&meta).expect("its meta")).unwrap();
    let now = said["created_ms"].as_u64().expect("a time");
    said["created_ms"] = json!(now - days * DAY_MS);
    std::fs::write(&meta, said.to_string()).expect("its meta is written");
}

async fn is_there(world: &World, url: &str) -> bool {
    let status = world.http().get(url).send().await.expect("storage answers").status();
    assert!([200, 400].contains(&status.as_u16()), "{status}");
    status == 200
}

async fn erase(world: &World, user: &TestUser) {
    let admin = world.admin(1).await;
    let args = json!({ "p_actor": admin.id, "p_user_id": user.id, "p_reason": "asked" });
    world.db().ask("user_erase_v1", args).await;
}

#[test]
fn old_uploads_and_an_erased_users_files_go_and_a_live_jobs_stay() {
    e2e::run(async |world| {
        let delivered = Order::running(world).await;
        let row = delivered.assert_completed(world).await;
        let result = row["output_url"].as_str().expect("a result").to_owned();
        world.script(json!({ "runninghub": { "all": true, "work": "until_finished" } })).await;
        let working = Order::running(world).await;
        let other = world.new_user(0).await;
        let old = world.upload_png(&other, 8, 8).await;
        let young = world.upload_png(&other, 8, 8).await;
        age(world, &old, 8);
        age(world, &young, 6);
        age(world, working.urls()[0], 8);
        erase(world, &delivered.user).await;

        world.storage_is_down(503).await;
        clean_up(world).await;
        let errors = "select kind, error from unstuck_private.retention_progress
            where error is not null order by kind";
        let told = world.db().rows(errors).await;
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0]["error"].to_string().contains("storage answered 503"), "{told:?}");
        world.storage_is_up().await;

        // An earlier test may have left more files than one pass looks at.
        let gone = async || {
            clean_up(world).await;
            (!is_there(world, &old).await).then_some(())
        };
        world.until("the old upload goes", gone).await;
        for url in [result.as_str(), delivered.urls()[0]] {
            assert!(!is_there(world, url).await, "{url}");
        }
        for url in [young.as_str(), working.urls()[0]] {
            assert!(is_there(world, url).await, "{url}");
        }
        let left = format!(
            "select files_left from unstuck.erasures where user_id = '{}'",
            delivered.user.id
        );
        assert_eq!(world.db().int(&left).await, 0);
        world.finish(working.job).await;
        working.assert_completed(world).await;
    });
}
