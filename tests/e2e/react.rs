//! The example app, built from the packed packages, as users use it in a browser.

use serde_json::json;
use unstuck_tests::assert_has;
use unstuck_tests::e2e;
use unstuck_tests::packages::PACKED;
use uuid::Uuid;

#[test]
fn the_example_app_follows_each_job_once_and_forgets_it_with_its_user() {
    e2e::run(async |world| {
        let held = json!({ "match": "before-us", "hang": true, "cancellable": true });
        world
            .script(json!({ "runninghub": [held, { "all": true, "work": "until_finished" }] }))
            .await;
        world.set_provider("runninghub", "max_concurrent = 2").await;
        let mut before = Vec::new();
        for other in [world.user(3).await, world.user(4).await] {
            let order = json!({ "prompt": "before-us" });
            before.push(world.order_as(&other, Uuid::new_v4(), order).await.0);
        }
        let info = world.stack().info();
        let pages = PACKED.build(&info.url, &info.anon_key);
        let seen = world.browser("example.mjs", &json!({ "pages": pages, "before": before }));
        assert_has!(seen, {
            "tools": ["Enlarge a picture", "Enlarge a video", "Make a website"],
            "size": [24, 18],
            "charged": "940 credits",
        }, "{seen:#}");
        assert!(
            seen["place"].as_str().is_some_and(|place| place.starts_with("Number 1 in line")),
            "{seen:#}"
        );
        assert!(seen["file"].as_str().is_some_and(|name| name.ends_with(".png")), "{seen:#}");
        let pause = seen["leastPauseMs"].as_i64().unwrap();
        assert!(pause >= 600, "it was asked anew after {pause} ms: two followers");
        assert_has!(seen, { "strange": 0, "afterSignOut": 0 }, "{seen:#}");
        for id in [&seen["id"], &seen["left"]] {
            let job = world.job(id.as_str().unwrap().parse().unwrap()).await;
            assert_has!(job, { "status": "completed", "credits_charged": 60 });
        }
        assert_eq!(world.balance(&world.user(1).await).await, 880);
        assert_eq!(world.balance(&world.user(2).await).await, 940);
    });
}
