//! `cargo xtask doctor` on a running deployment: it finds no fault in a healthy one, and reports
//! each fault that a test causes, with its cure.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use unstuck_tests::e2e;
use unstuck_tests::e2e::World;
use xtask::doctor::{DoctorTarget, Finding, TrialOrder, check};
use xtask::function;
use xtask::workers::CONSUMER;

/// The stack as a deployment, with the settings that its files would name.
fn target(world: &World) -> DoctorTarget {
    let info = world.stack().info();
    let providers = &info.providers_url;
    let mut apps = serde_json::Map::new();
    for function in function::all().unwrap() {
        let own = function.vars.get("RUNNINGHUB_APPS").cloned().unwrap_or_default();
        let own: Value = serde_json::from_str(&own).unwrap_or_default();
        apps.extend(own.as_object().cloned().unwrap_or_default());
    }
    let known = [
        ("SUPABASE_SERVICE_ROLE_KEY", info.service_role_key.clone()),
        ("SUPABASE_URL", info.url.clone()),
        ("WEBHOOK_SECRET", world.stack().keys().webhook_secret.clone()),
        ("CRON_SECRET", info.cron_secret.clone()),
        ("RUNNINGHUB_BASE_URL", format!("{providers}/runninghub")),
        ("RUNNINGHUB_API_KEY", "rh-local-key".to_owned()),
        ("RUNNINGHUB_APPS", Value::Object(apps).to_string()),
        ("REPLICATE_BASE_URL", format!("{providers}/replicate/v1")),
        ("REPLICATE_API_TOKEN", "r8_local_token".to_owned()),
        ("GEMINI_BASE_URL", format!("{providers}/gemini")),
        ("GEMINI_API_KEY", "gemini-local-key".to_owned()),
        ("GEMINI_MODEL", "gemini-3.1-flash-image".to_owned()),
        ("LLM_KIND", "openai".to_owned()),
        ("LLM_BASE_URL", format!("{providers}/llm/v1")),
        ("LLM_API_KEY", "llm-local-key".to_owned()),
        ("LLM_MODEL", "local-site-1".to_owned()),
    ];
    DoctorTarget {
        name: Some("local".to_owned()),
        gateway: world.stack().gateway_url(),
        known: known.map(|(name, value)| (name.to_owned(), value)).into(),
        ..DoctorTarget::default()
    }
}

/// The findings of the doctor that are not good, as if the crons had just fired.
async fn lacks(world: &World, target: &DoctorTarget) -> Vec<Finding> {
    world.db().exec("update unstuck.sweeps set finished_at = clock_timestamp()").await;
    world.db().exec(CRONS_FIRED).await;
    let found = check(target).await.unwrap();
    found.into_iter().filter(|finding| !finding.ok).collect()
}

const CRONS_FIRED: &str =
    "update unstuck_private.events_seen set at = clock_timestamp() where event = 'cron'";

async fn fire_all(world: &World) {
    for function in function::all().unwrap().iter().filter(|function| !function.crons.is_empty()) {
        world.fire(&function.name).await;
    }
    world.sweep().await;
}

#[track_caller]
fn assert_told(lacks: &[Finding], subject: &str, words: &str) {
    let told = lacks
        .iter()
        .any(|lack| lack.subject == subject && lack.words.contains(words) && lack.cure.is_some());
    assert!(told && lacks.len() <= 3, "{subject} ({words}): {lacks:#?}");
}

/// A fault of the database: the statement that causes it, the statement that mends it, the subject
/// and the words of the finding.
const OF_DATABASE: &[(&str, &str, &str, &str)] = &[
    (
        "alter policy \"unstuck uploads insert\" on storage.objects rename to kept",
        "alter policy kept on storage.objects rename to \"unstuck uploads insert\"",
        "storage policy",
        "every upload is refused",
    ),
    (
        "alter table storage.objects disable row level security",
        "alter table storage.objects enable row level security",
        "storage policy",
        "row level security",
    ),
    (
        "update storage.buckets set file_size_limit = 1024 where id = 'uploads'",
        "update storage.buckets set file_size_limit = 52428800 where id = 'uploads'",
        "bucket uploads",
        "over 1024 bytes",
    ),
    (
        "update storage.buckets set public = false where id = 'results'",
        "update storage.buckets set public = true where id = 'results'",
        "bucket results",
        "private",
    ),
    (
        "update unstuck_private.migrations set name = 'kept' where name = 'deployments'",
        "update unstuck_private.migrations set name = 'deployments' where name = 'kept'",
        "migrations",
        "missing: deployments",
    ),
    (
        "update unstuck.user_roles set role = 'moderator' where role = 'admin'",
        "update unstuck.user_roles set role = 'admin' where role = 'moderator'",
        "admins",
        "nobody",
    ),
    (
        "update unstuck_private.events_seen set function = 'kept'
            where function = 'replicate-prediction-checker'",
        "update unstuck_private.events_seen set function = 'replicate-prediction-checker'
            where function = 'kept'",
        "cron replicate-prediction-checker",
        "never fired",
    ),
    (
        "update unstuck.providers set circuit_open_until = 'infinity', circuit_reason = 'account'
            where provider = 'replicate'",
        "update unstuck.providers set circuit_open_until = null, circuit_reason = null
            where provider = 'replicate'",
        "provider replicate",
        "account",
    ),
];

#[test]
fn each_fault_of_the_database_is_told_and_a_healthy_deployment_lacks_nothing() {
    e2e::run_apart(
        |_| {},
        async |world| {
            fire_all(world).await;
            let target = target(world);
            assert_eq!(lacks(world, &target).await, []);
            for (put, mend, subject, words) in OF_DATABASE {
                world.db().exec(put).await;
                let told = lacks(world, &target).await;
                world.db().exec(mend).await;
                assert_told(&told, subject, words);
            }
            for (name, value, subject, words) in [
                ("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_of_nobody", "database", ""),
                ("RUNNINGHUB_API_KEY", "wrong", "runninghub", "802"),
                ("REPLICATE_API_TOKEN", "wrong", "replicate", "401"),
                ("LLM_API_KEY", "wrong", "llm", "401"),
                ("GEMINI_MODEL", "retired", "gemini", "404"),
                (
                    "RUNNINGHUB_APPS",
                    r#"{"runninghub-upscaler": {"pro": "77"}}"#,
                    "app runninghub-upscaler pro",
                    "901",
                ),
                (
                    "RUNNINGHUB_APPS",
                    r#"{"runninghub-upscaler": {"pro": {"webappId": "1900000000000000001",
                        "nodes": {"prompt": ["9", "text"]}}}}"#,
                    "app runninghub-upscaler pro",
                    "no node 9 (text)",
                ),
            ] {
                let mut wrong = target.clone();
                wrong.known.insert(name.to_owned(), value.to_owned());
                let told = lacks(world, &wrong).await;
                if name == "SUPABASE_SERVICE_ROLE_KEY" {
                    assert!(told.iter().any(|lack| lack.subject == name), "{told:#?}");
                } else {
                    // The functions have the right value, and the doctor has another one.
                    assert_told(&told, subject, words);
                }
            }
            assert_eq!(lacks(world, &target).await, []);
        },
    );
}

const OTHER_KEYS: &str = r#"{"keys": [{"kid": "of-another-project"}]}"#;

/// A fault of one function: the function, the variable or binding, its value, the subject and the
/// words of the finding.
const OF_A_FUNCTION: &[(&str, &str, Option<&str>, &str, &str)] = &[
    (
        "replicate-async-worker",
        "WEBHOOK_SECRET",
        Some("another-webhook-secret"),
        "WEBHOOK_SECRET",
        "yours in replicate-async-worker",
    ),
    (
        "provider-webhook",
        "WEBHOOK_SECRET",
        Some("another-webhook-secret"),
        "WEBHOOK_SECRET",
        "provider-webhook has another one",
    ),
    (
        "runninghub-upscaler",
        "FUNCTIONS_URL",
        Some("http://127.0.0.1:9/functions/v1"),
        "FUNCTIONS_URL",
        "does not arrive",
    ),
    (
        "admin-cancel-job",
        "SUPABASE_SERVICE_ROLE_KEY",
        Some("a.key.of-nobody"),
        "admin-cancel-job",
        "does not take the service key",
    ),
    (
        "gateway",
        "REPLICATE_ASYNC_STATUS",
        None,
        "replicate-async-status",
        "reaches no function of that name",
    ),
    ("replicate-async-status", "SUPABASE_JWKS", Some(OTHER_KEYS), "SUPABASE_JWKS", "other keys"),
    (
        "admin-retry-job",
        "SUPABASE_JWT_SECRET",
        Some("of-another-project"),
        "SUPABASE_JWT_SECRET",
        "did not sign",
    ),
    (
        "gateway",
        "SUPABASE_ANON_KEY",
        Some("sb_publishable_of_nobody"),
        "SUPABASE_ANON_KEY",
        "no key of the project",
    ),
    ("purchase-checkout", "DEPLOYMENT_ID", Some("staging"), "DEPLOYMENT_ID", "staging"),
    (
        "replicate-async-start",
        "REPLICATE_API_TOKEN",
        None,
        "replicate-async-start",
        "REPLICATE_API_TOKEN is missing",
    ),
    ("gateway", "PROJECT_PASS_THROUGH", Some("false"), "PROJECT_PASS_THROUGH", "cannot sign in"),
    ("provider-webhook", "HINTS", None, "queues", "cannot send to HINTS"),
    (
        "process-generation-tasks-banana",
        CONSUMER,
        None,
        "queue process-generation-tasks-banana",
        "no consumer",
    ),
];

#[test]
fn each_fault_of_a_function_is_told() {
    e2e::run_apart(
        |_| {},
        async |world| {
            fire_all(world).await;
            let target = target(world);
            for (function, name, value, subject, words) in OF_A_FUNCTION {
                let value = value.map(str::to_owned);
                let mut own = BTreeMap::from([((*name).to_owned(), value)]);
                if *name == "SUPABASE_SERVICE_ROLE_KEY" {
                    own.insert("SUPABASE_SECRET_KEYS".to_owned(), None);
                    own.insert("SUPABASE_JWT_SECRET".to_owned(), None);
                }
                world.restart_workers(BTreeMap::from([((*function).to_owned(), own)])).await;
                assert_told(&lacks(world, &target).await, subject, words);
            }
        },
    );
}

#[test]
fn the_settings_are_shown_to_the_service_alone_and_hold_no_value() {
    e2e::run(async |world| {
        let user = world.user(1).await;
        for function in ["gateway", "provider-webhook", "runninghub-upscaler"] {
            let path = format!("{function}/__settings");
            world.get(&path).refused(401, "unauthorized").await;
            let by_user = world.get(&path).by(&user).send().await;
            assert!([401, 403].contains(&by_user.status), "{}", by_user.text);
            let told = world.get(&path).by_service().send().await;
            let keys = world.stack().keys();
            for secret in [&keys.webhook_secret, &keys.service_role_key, &keys.jwt_secret] {
                assert!(!told.text.contains(secret.as_str()), "{function}");
            }
            let told = told.expect(200);
            let digits = told["settings"]["SUPABASE_URL"].as_str().unwrap();
            assert!(digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(
                told["settings"]["GEMINI_API_KEY"].is_null(),
                "a function shows no setting that it does not read"
            );
        }
        let placed = "generate-website/settings-of-placed-run";
        world.get(placed).refused(401, "unauthorized").await;
        let told = world.get(placed).by_service().ok().await;
        assert!(told["settings"]["GEMINI_API_KEY"].is_string());
        world.get("placed-run/__settings").by_service().refused(404, "not_found").await;
        world
            .call("gateway/__hint")
            .json(&json!({ "queue": "HINTS" }))
            .refused(401, "unauthorized")
            .await;
    });
}

#[test]
fn a_trial_order_of_each_tool_is_carried_through_and_its_price_comes_back() {
    e2e::run(async |world| {
        fire_all(world).await;
        let user = world.user(1).await;
        let before = world.balance(&user).await;
        let info = &world.stack().info().users[0];
        let tools =
            world.db().value("select json_agg(tool order by tool) from unstuck.tools").await;
        let tools = tools.as_array().unwrap().clone();
        assert!(tools.len() >= 9, "{tools:?}");
        for tool in tools.iter().map(|tool| tool.as_str().unwrap()) {
            let mut target = target(world);
            target.order = Some(TrialOrder {
                tool: tool.to_owned(),
                email: info.email.clone(),
                password: info.password.clone(),
            });
            let found = check(&target).await.unwrap();
            let order = found.iter().find(|found| found.subject == format!("order {tool}"));
            let order = order.unwrap();
            assert!(order.ok && order.words.contains(" credits given back"), "{order:#?}");
            assert!(!order.words.contains(" 0 credits"), "{order:#?}");
            assert_eq!(world.balance(&user).await, before, "{tool}");
        }
    });
}

#[test]
fn a_trial_order_of_no_tool_is_refused_before_anything_is_charged() {
    e2e::run(async |world| {
        let info = &world.stack().info().users[0];
        let mut target = target(world);
        target.order = Some(TrialOrder {
            tool: "no-tool".to_owned(),
            email: info.email.clone(),
            password: info.password.clone(),
        });
        let found = check(&target).await.unwrap();
        let order = found.iter().find(|found| found.subject == "order no-tool").unwrap();
        assert!(!order.ok && order.words.contains("no such tool"), "{order:#?}");
    });
}
