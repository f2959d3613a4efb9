//! A rollback brings back the deployment that was last found good.

use serde_json::Value;
use xtask::function::Function;

use crate::world::{Cloud, Values, few};

fn values() -> Values {
    Values::needed()
        .with("WEBHOOK_SECRET", "a-secret-that-signs-webhooks")
        .with("CRON_SECRET", "a-secret-of-the-scheduler")
}

/// The functions with another cron and another consumer.
fn changed() -> Vec<Function> {
    let mut functions = few();
    for function in &mut functions {
        if function.consumer.is_some() {
            function.crons = vec!["*/5 * * * *".to_owned()];
            if let Some(consumer) = &mut function.consumer {
                consumer.max_batch_size = 7;
            }
        }
    }
    functions
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_brings_back_versions_settings_crons_and_consumers() {
    let cloud = Cloud::start().await;
    cloud.folder.write("back", &values());
    let error = cloud.roll_back("back", &few()).await.unwrap_err();
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    cloud.deploy("back", &few()).await.unwrap();
    cloud.note_good("back", &few()).await.unwrap();
    let good = cloud.account.view();

    // A second deployment, with other settings, crons and consumers, which is not found good.
    let second = values().with("GEMINI_MODEL", "a-model-of-mine").with("BUY_URL", "https://a.shop");
    cloud.folder.write("back", &second);
    let done = cloud.deploy("back", &changed()).await.unwrap();
    assert_eq!(done.len(), 3, "{done:#?}");
    let bad = cloud.account.view();
    assert_ne!(bad, good);

    // The rollback is killed after the gateway, and a second run finishes it.
    cloud.account.stop_after(2);
    let functions = few();
    tokio::select! {
        _ = cloud.roll_back("back", &functions) => panic!("the API is silent"),
        () = cloud.account.stopped() => {}
    }
    cloud.account.go_on();
    let done = cloud.roll_back("back", &few()).await.unwrap();
    assert!(!done.is_empty());
    assert_eq!(cloud.account.view(), good);
    assert_eq!(cloud.values("placed-run")["GEMINI_MODEL"], "gemini-3.1-flash-image");

    // The good deployment is in force, and there is no good one before it.
    let error = cloud.roll_back("back", &few()).await.unwrap_err();
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    cloud.note_good("back", &few()).await.unwrap();

    // The second deployment is deployed once more, found good this time, and rolled back.
    cloud.deploy("back", &changed()).await.unwrap();
    cloud.note_good("back", &changed()).await.unwrap();
    assert_eq!(cloud.account.view(), bad);
    cloud.roll_back("back", &changed()).await.unwrap();
    assert_eq!(cloud.account.view(), good);
    assert_eq!(cloud.account.unknown(), Vec::<String>::new());
    assert_eq!(cloud.values("gateway")["BUY_URL"], Value::String(String::new()));
}
