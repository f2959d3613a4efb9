//! Cloudflare's API refuses calls because there are too many, or fails for a moment.

use crate::world::{Cloud, Values, few};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_refused_for_a_while_is_made_once_more() {
    let cloud = Cloud::start().await;
    cloud.folder.write("busy", &Values::needed());
    cloud.deploy("busy", &few()).await.unwrap();
    for (every, status) in [(5, 429), (6, 502)] {
        cloud.account.refuse_every(every, status);
        let (_, _, plan) = cloud.plan("busy", &few()).await.unwrap();
        assert!(plan.is_empty(), "{:?}", plan.words());
        assert!(cloud.account.calls() >= every, "no call was refused with {status}");
    }
    cloud.account.refuse_every(3, 429);
    cloud.note_good("busy", &few()).await.unwrap();
    assert!(cloud.account.calls() >= 3, "no call was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_may_have_been_done_is_not_made_twice() {
    let cloud = Cloud::start().await;
    cloud.folder.write("down", &Values::needed());
    let (api, deployment, plan) = cloud.plan("down", &few()).await.unwrap();
    cloud.account.refuse_every(1, 502);
    let error = plan.carry_out(&api, &deployment).await.unwrap_err();
    assert!(format!("{error:#}").contains("502"), "{error:#}");
    assert_eq!(cloud.account.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrangler_is_run_once_more_where_cloudflare_had_too_many_calls() {
    let cloud = Cloud::start().await;
    cloud.folder.write("busy", &Values::needed());
    cloud.account.refuse_every(13, 429);
    cloud.deploy("busy", &few()).await.unwrap();
    assert!(cloud.account.calls() >= 13, "no call was refused");
    cloud.account.refuse_every(0, 429);
    let (_, _, plan) = cloud.plan("busy", &few()).await.unwrap();
    assert!(plan.is_empty(), "{:?}", plan.words());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_function_is_told_and_left_alone() {
    let cloud = Cloud::start().await;
    cloud.folder.write("left", &Values::needed().with("prefix", "left-"));
    let functions = few();
    cloud.deploy("left", &functions).await.unwrap();
    cloud.account.add_copy("left-gateway", "left-old-tool");
    cloud.account.add_foreign_worker("left-of-others");
    cloud.account.add_copy("left-gateway", "old-tool-of-another-prefix");
    let (_, _, plan) = cloud.plan("left", &functions).await.unwrap();
    assert!(plan.is_empty(), "{:?}", plan.words());
    assert_eq!(plan.strays, ["left-old-tool"]);
    let words = plan.words_of_strays().join("\n");
    assert!(words.contains("npx wrangler delete --name left-old-tool"), "{words}");
}
