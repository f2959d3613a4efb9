//! Files that are kept no longer, and the files of an erased user, are deleted. The files of a live
//! job stay.

use serde_json::{Value, json};
use unstuck_tests::e2e::{self, TestUser, World};

use unstuck_tests::e2e::order::Order;
use unstuck_tests::e2e::website::clean_up;
use unstuck_tests::e2e::world::png;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// `<bucket>/<path>` of a public URL.
fn path_of(url: &str) -> &str {
    url.split_once("/object/public/").expect("a public URL").1
}

/// Makes the file older by that many days.
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

        // An earlier test may have left more files than one pass reads.
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

#[test]
fn one_file_that_storage_refuses_to_delete_keeps_no_other() {
    e2e::run(async |world| {
        let user = world.new_user(0).await;
        let mut urls = Vec::new();
        for _ in 0..3 {
            let url = world.upload_png(&user, 8, 8).await;
            age(world, &url, 8);
            urls.push(url);
        }
        // A trigger, as an app may have one, refuses to delete one file.
        let stuck = urls.remove(1);
        let (_, name) = path_of(&stuck).split_once('/').expect("a bucket");
        let trigger = format!(
            "create function public.keep_one() returns trigger language plpgsql as $$ begin
                if old.name = '{name}' then raise exception 'kept'; end if;
                return old;
            end $$;
            create trigger keep_one before delete on storage.objects
            for each row execute function public.keep_one()"
        );
        world.db().exec(&trigger).await;
        let others = async || {
            clean_up(world).await;
            let gone = !is_there(world, &urls[0]).await && !is_there(world, &urls[1]).await;
            gone.then_some(())
        };
        world.until("the others go", others).await;
        assert!(is_there(world, &stuck).await);
        let error = "select error from unstuck_private.retention_progress where kind = 'uploads'";
        assert_eq!(world.db().value(error).await, "storage answered 500 to DELETE uploads");
        world.db().exec("drop function public.keep_one() cascade").await;
        let last = async || {
            clean_up(world).await;
            (!is_there(world, &stuck).await).then_some(())
        };
        world.until("the last one goes", last).await;
    });
}

/// It holds for the cron as for the HTTP call.
#[test]
fn of_a_bucket_that_was_there_before_us_only_files_of_our_jobs_go() {
    e2e::run(async |world| {
        let keep = async |time: &str| {
            let sql = format!(
                "update unstuck.retention set keep = {time} where kind = 'abandoned_uploads'"
            );
            world.db().exec(&sql).await;
        };
        keep("null").await;
        let order = Order::running(world).await;
        order.assert_completed(world).await;
        let of_app = world.upload_png(&order.user, 8, 8).await;
        let user = &order.user;
        let of_job = world.upload_to(user, order.job, "in.png", "image/png", png(8, 8)).await;
        age(world, &of_app, 400);
        age(world, &of_job, 8);
        let gone = async || {
            world.fire("cleanup-stale-generations").await;
            (!is_there(world, &of_job).await).then_some(())
        };
        world.until("the job's file goes", gone).await;
        assert!(is_there(world, &of_app).await);
        keep("'7 days'").await;
        let abandoned = async || {
            world.fire("cleanup-stale-generations").await;
            (!is_there(world, &of_app).await).then_some(())
        };
        world.until("in a bucket of ours the other one goes too", abandoned).await;
    });
}
