//! A deploy that is killed after any of its changes reaches the same end when it is run again.

use crate::world::{Cloud, Values, few};

/// Runs a deploy until it ends or the API stops answering. Returns whether it ended.
async fn deploy_or_die(cloud: &Cloud, name: &str) -> bool {
    let functions = few();
    tokio::select! {
        done = cloud.deploy(name, &functions) => done.map(|_| true).unwrap(),
        () = cloud.account.stopped() => false,
    }
}

fn values() -> Values {
    Values::needed()
        .with("WEBHOOK_SECRET", "a-secret-that-signs-webhooks")
        .with("CRON_SECRET", "a-secret-of-the-scheduler")
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_each_change_it_comes_to_the_same_end() {
    let quiet = Cloud::start().await;
    quiet.folder.write("killed", &values());
    assert!(deploy_or_die(&quiet, "killed").await);
    let end = quiet.account.view();
    let writes = quiet.account.writes().len();
    assert!(writes >= 12, "{:#?}", quiet.account.writes());

    // The deploy is killed after each change and run again, until it ends.
    let cloud = Cloud::start().await;
    cloud.folder.write("killed", &values());
    let mut deaths = 0;
    loop {
        cloud.account.stop_after(1);
        if deploy_or_die(&cloud, "killed").await {
            break;
        }
        deaths += 1;
        assert!(deaths < 2 * writes, "{:#?}", cloud.account.writes());
    }
    assert!(deaths >= 10, "{deaths} deaths");
    assert_eq!(cloud.account.view(), end);

    // The deploy is killed once, between the calls that make one Worker.
    for survived in [4, 9] {
        let cloud = Cloud::start().await;
        cloud.folder.write("killed", &values());
        cloud.account.stop_after(survived);
        assert!(!deploy_or_die(&cloud, "killed").await, "after {survived}");
        cloud.account.go_on();
        assert!(deploy_or_die(&cloud, "killed").await, "after {survived}");
        assert_eq!(cloud.account.view(), end, "after {survived}");
    }
}
