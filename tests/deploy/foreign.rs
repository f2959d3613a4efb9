//! Workers, accounts and tokens that are not ours are named before anything is changed.

use crate::world::{Cloud, Values, few};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_another_owner_is_never_overwritten() {
    let cloud = Cloud::start().await;
    cloud.account.add_foreign_worker("gateway");
    cloud.account.add_foreign_worker("placed-run");
    cloud.folder.write("foreign", &Values::needed());
    let error = format!("{:#}", cloud.deploy("foreign", &few()).await.unwrap_err());
    for part in ["the Worker gateway", "the Worker placed-run", "prefix", "nothing was changed"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(cloud.account.writes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_or_account_that_cloudflare_refuses_is_named_first() {
    let cloud = Cloud::start().await;
    for (name, value) in
        [("CLOUDFLARE_API_TOKEN", "another"), ("account_id", "ffffffffffffffffffffffffffffffff")]
    {
        cloud.folder.write("refused", &Values::needed().with(name, value));
        let error = format!("{:#}", cloud.deploy("refused", &few()).await.unwrap_err());
        assert!(error.contains(name) && !error.contains("another"), "{error}");
    }
    assert_eq!(cloud.account.writes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changes_nothing() {
    let cloud = Cloud::start().await;
    cloud.folder.write("planned", &Values::needed());
    let (_, _, plan) = cloud.plan("planned", &few()).await.unwrap();
    let words = plan.words();
    assert_eq!(words.len(), 2 + 3, "{words:#?}");
    let at = |part: &str| words.iter().position(|line| line.starts_with(part)).unwrap();
    assert!(at("queue ") < at("placed-run: "), "{words:#?}");
    assert!(at("placed-run: ") < at("process-generation-tasks-banana: "), "{words:#?}");
    assert!(at("process-generation-tasks-banana: ") < at("gateway: "), "{words:#?}");
    assert_eq!(cloud.account.writes(), Vec::<String>::new());
}
