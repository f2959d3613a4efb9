//! `deploy` brings everything up from two files; later deploys change only what differs.

use serde_json::{Value, json};
use xtask::function;

use crate::world::{Cloud, Values, few};

#[tokio::test(flavor = "multi_thread")]
async fn twelve_values_bring_everything_up_and_a_changed_one_deploys_its_readers() {
    let cloud = Cloud::start().await;
    let values = Values::needed();
    assert_eq!(values.len(), 12);
    cloud.folder.write("whole", &values);
    let functions = function::all().unwrap();

    let done = cloud.deploy("whole", &functions).await.unwrap();
    let queues = 3;
    assert_eq!(done.len(), functions.len() + queues, "{done:#?}");
    assert_eq!(cloud.account.unknown(), Vec::<String>::new());
    let view = cloud.account.view();
    for function in &functions {
        let script = &view["scripts"][&function.name];
        assert_eq!(script["crons"], json!(function.crons), "{}", function.name);
        assert_eq!(script["enabled"], json!(function.name == "gateway"), "{}", function.name);
        assert_eq!(script["previews_enabled"], json!(false), "{}", function.name);
        let bindings = script["live"]["bindings"].as_array().unwrap();
        let bound = |name: &str| bindings.iter().any(|binding| binding["name"] == *name);
        for secret in &function.secrets_required {
            assert!(bound(secret), "{}: {secret}", function.name);
        }
        let consumer = &view["queues"][&function.name][0];
        let expected = function.consumer.map_or(Value::Null, |_| json!(function.name));
        assert_eq!(*consumer, expected, "{}", function.name);
    }
    let url = "https://gateway.somebody.workers.dev/functions/v1";
    assert_eq!(cloud.values("provider-webhook")["FUNCTIONS_URL"], url);

    assert_eq!(cloud.deploy("whole", &functions).await.unwrap(), Vec::<String>::new());
    assert_eq!(cloud.account.view(), view);

    // A changed value that one function reads, and then a new secret that one function reads.
    let values = values.with("PURCHASE_RETURN_HOSTS", "shop.example");
    cloud.folder.write("whole", &with_made_secrets(&cloud, "whole", values.clone()));
    let done = cloud.deploy("whole", &functions).await.unwrap();
    assert_eq!(done, ["purchase-checkout: deploy it, its settings changed"]);
    let values = values.with("REPLICATE_WEBHOOK_SECRET", "whsec_another");
    cloud.folder.write("whole", &with_made_secrets(&cloud, "whole", values));
    let done = cloud.deploy("whole", &functions).await.unwrap();
    assert_eq!(done, ["provider-webhook: deploy it, its settings changed"]);
    assert_eq!(cloud.values("provider-webhook")["REPLICATE_WEBHOOK_SECRET"], "whsec_another");
    assert_eq!(cloud.account.unknown(), Vec::<String>::new());
}

/// The values with the secrets that `deploy` has written into the file.
fn with_made_secrets(cloud: &Cloud, name: &str, values: Values) -> Values {
    let deployment = cloud.folder.read(name).unwrap();
    ["WEBHOOK_SECRET", "CRON_SECRET"]
        .into_iter()
        .fold(values, |values, name| values.with(name, &deployment.secrets[name]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_no_longer_given_goes() {
    let cloud = Cloud::start().await;
    let functions = few();
    let values = Values::needed().with("CRON_SECRET", "a-secret-of-the-scheduler");
    cloud.folder.write("gone", &values.clone().with("GEMINI_API_KEY_2", "second-key"));
    cloud.deploy("gone", &functions).await.unwrap();
    assert_eq!(cloud.values("placed-run")["GEMINI_API_KEY_2"], "second-key");
    cloud.folder.write("gone", &values);
    let done = cloud.deploy("gone", &functions).await.unwrap();
    assert_eq!(done, ["placed-run: deploy it, its settings changed"]);
    assert_eq!(cloud.values("placed-run")["GEMINI_API_KEY_2"], Value::Null);
    assert_eq!(cloud.values("placed-run")["GEMINI_API_KEY"], "key-of-gemini");
}

#[tokio::test(flavor = "multi_thread")]
async fn staging_and_production_live_in_one_account() {
    let cloud = Cloud::start().await;
    let functions = few();
    let made = |values: Values| values.with("CRON_SECRET", "a-secret-of-the-scheduler");
    cloud.folder.write("prod", &made(Values::needed()));
    cloud.folder.write("stage", &made(Values::needed().with("prefix", "stage-")));
    cloud.deploy("prod", &functions).await.unwrap();
    let production = cloud.account.view();
    cloud.deploy("stage", &functions).await.unwrap();

    let both = cloud.account.view();
    for kind in ["scripts", "queues"] {
        for (name, known) in production[kind].as_object().unwrap() {
            assert_eq!(both[kind][name], *known, "{name} of production");
            assert!(both[kind].get(format!("stage-{name}")).is_some(), "stage-{name}");
        }
    }
    let bindings = both["scripts"]["stage-process-generation-tasks-banana"]["live"]["bindings"]
        .as_array()
        .unwrap();
    let service = bindings.iter().find(|binding| binding["type"] == "service").unwrap();
    assert_eq!(service["service"], "stage-placed-run");
    assert_eq!(
        both["queues"]["stage-process-generation-tasks-banana"][0],
        "stage-process-generation-tasks-banana"
    );
    let url = "https://gateway.somebody.workers.dev/functions/v1";
    assert!(!both.to_string().contains("\"text\":\"production\""), "{url}");
    assert_eq!(cloud.deploy("prod", &functions).await.unwrap(), Vec::<String>::new());
    assert_eq!(cloud.deploy("stage", &functions).await.unwrap(), Vec::<String>::new());
}
