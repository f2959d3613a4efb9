//! A healthy deployment has no lack. Each fault that a test puts into it is reported, with its
//! cure.

use std::collections::BTreeMap;

use super::super::observed::{
    DatabaseState, DeploymentRow, EventSeen, Expected, NoAnswer, Observed, OpenCircuit, PageState,
    SeenBucket, StorageState, StoredCounts, ToldSettings,
};
use super::super::{Finding, SERVICE_KEY};
use super::{findings, fingerprint};
use crate::deploy::account::AccountState;
use crate::function;

const KEY: &str = "a.service.key";
const ADDRESS: &str = "https://a.app/functions/v1/provider-webhook/doctor/x/0/0/";

fn value_of(name: &str) -> String {
    match name {
        SERVICE_KEY => KEY.to_owned(),
        "DEPLOYMENT_ID" => "live".to_owned(),
        _ => format!("the value of {name}"),
    }
}

fn digits(name: &str, value: &str) -> Option<String> {
    fingerprint(KEY, name, value)
}

/// The observed and the expected state of a deployment that lacks nothing.
fn healthy() -> (Observed, Expected) {
    let functions = function::all().unwrap();
    let names: Vec<String> =
        functions.iter().flat_map(|function| function.variables().cloned()).collect();
    let known: BTreeMap<String, String> =
        names.iter().map(|name| (name.clone(), value_of(name))).collect();
    let mut reports = BTreeMap::new();
    for function in &functions {
        let settings =
            function.variables().map(|name| (name.clone(), digits(name, &value_of(name))));
        let settings: BTreeMap<_, _> = settings.collect();
        let gives_out = ["FUNCTIONS_URL", "WEBHOOK_SECRET"];
        let report = ToldSettings {
            deployment: "live".to_owned(),
            key_ids: Some(vec!["k1".to_owned()]),
            secret_fits: Some(true),
            webhook: gives_out
                .iter()
                .all(|name| settings.contains_key(*name))
                .then(|| format!("{ADDRESS}good")),
            settings,
        };
        reports.insert(function.name.clone(), Ok(report));
    }
    let event = |function: &function::Function, event: &str, seconds| EventSeen {
        function: function.name.clone(),
        event: event.to_owned(),
        seconds,
    };
    let scheduled = functions.iter().filter(|function| !function.crons.is_empty());
    let consumers = functions.iter().filter(|function| function.consumer.is_some());
    let mut events: Vec<EventSeen> =
        scheduled.map(|function| event(function, "cron", 70.0)).collect();
    events.extend(consumers.map(|function| event(function, "queue", 1.0)));
    let probes = functions
        .iter()
        .flat_map(|function| {
            let bindings = function.producers.iter().map(|producer| producer.binding.clone());
            bindings.map(|binding| ((function.name.clone(), binding), Ok(())))
        })
        .collect();
    let bucket = |id: &str| SeenBucket {
        id: id.to_owned(),
        public: Some(true),
        bytes_max: Some(512 * 1024 * 1024),
        types: Some(vec!["image/png".to_owned(), "application/json".to_owned()]),
    };
    let policy = "((bucket_id = 'uploads'::text) AND ((storage.foldername(name))[1] = \
                  (auth.uid())::text))";
    let database = DatabaseState {
        identity: Some(DeploymentRow {
            id: "live".to_owned(),
            uploads_bucket: Some("uploads".to_owned()),
            results_bucket: Some("results".to_owned()),
        }),
        storage: Some(StorageState {
            buckets: vec![bucket("uploads"), bucket("results")],
            row_security: Some(true),
            upload_policy: Some(policy.to_owned()),
        }),
        admins: Some(1),
        migrations: Some(vec!["unstuck".to_owned(), "doctor".to_owned()]),
        events,
        health: Some(StoredCounts {
            last_sweep_seconds: Some(12),
            stuck: Some(0),
            violations: Some(0),
        }),
        published: true,
        circuits: Vec::new(),
        tools: vec!["runninghub-upscaler".to_owned()],
        packs: 3,
    };
    let page = PageState {
        supabase_url: "https://p.supabase.co".to_owned(),
        supabase_key: "sb_publishable_a".to_owned(),
        uploads_bucket: Some("uploads".to_owned()),
    };
    let observed = Observed {
        account: Some(Ok(AccountState::default())),
        rolled_back: false,
        page: Ok(page),
        reports,
        database: Ok(database),
        public_key: Ok(()),
        key_ids: Ok(vec!["k1".to_owned()]),
        pass_through: Ok(()),
        webhooks: BTreeMap::from([(format!("{ADDRESS}good"), Ok("live".to_owned()))]),
        probes,
        probed_seconds: 2.0,
        providers: BTreeMap::from([("replicate".to_owned(), Ok(()))]),
    };
    let expected = Expected {
        name: Some("live".to_owned()),
        functions,
        known,
        migrations: vec!["unstuck".to_owned(), "doctor".to_owned()],
    };
    (observed, expected)
}

fn refused(status: u16, code: &str, message: &str) -> NoAnswer {
    NoAnswer { status: Some(status), code: code.to_owned(), message: message.to_owned() }
}

impl Observed {
    fn report(&mut self, function: &str) -> &mut ToldSettings {
        self.reports.get_mut(function).unwrap().as_mut().unwrap()
    }

    fn set(&mut self, function: &str, name: &str, value: Option<&str>) {
        let digits = value.and_then(|value| digits(name, value));
        self.report(function).settings.insert(name.to_owned(), digits);
    }

    fn state(&mut self) -> &mut DatabaseState {
        self.database.as_mut().unwrap()
    }

    fn at_cloudflare(&mut self) -> &mut AccountState {
        self.account.as_mut().unwrap().as_mut().unwrap()
    }

    fn bucket(&mut self, id: &str) -> &mut SeenBucket {
        let buckets = &mut self.state().storage.as_mut().unwrap().buckets;
        buckets.iter_mut().find(|bucket| bucket.id == id).unwrap()
    }
}

/// Puts one fault into `Observed`; then the finding's subject, a part of its words and of its cure.
type PutFault = (fn(&mut Observed), &'static str, &'static str, &'static str);

#[rustfmt::skip]
const FAULTS: &[PutFault] = &[
    (|seen| seen.set("replicate-async-worker", "WEBHOOK_SECRET", Some("another")),
        "WEBHOOK_SECRET", "yours in replicate-async-worker", "deploy live"),
    (|seen| seen.set("cleanup-stale-jobs", "FUNCTIONS_URL", None),
        "FUNCTIONS_URL", "missing in cleanup-stale-jobs", "deploy live"),
    (|seen| seen.set("placed-run", "RESULTS_BUCKET", Some("elsewhere")),
        "RESULTS_BUCKET", "in placed-run", "deploy live"),
    (|seen| drop(seen.reports.insert("replicate-async-status".into(),
        Err(refused(404, "not_found", "Not found")))),
        "replicate-async-status", "no function of that name", "deploy live"),
    (|seen| drop(seen.reports.insert("replicate-async-status".into(),
        Err(refused(401, "unauthorized", "")))),
        "replicate-async-status", "SUPABASE_SERVICE_ROLE_KEY is another", "deploy live"),
    (|seen| drop(seen.reports.insert("placed-run".into(),
        Err(refused(500, "misconfigured", "SUPABASE_URL is missing or not valid")))),
        "placed-run", "SUPABASE_URL is missing", "deploy live"),
    (|seen| seen.report("purchase-checkout").deployment = "staging".into(),
        "DEPLOYMENT_ID", "purchase-checkout (staging)", "deploy live"),
    (|seen| seen.report("replicate-async-status").key_ids = Some(vec!["other".into()]),
        "SUPABASE_JWKS", "other keys than the project", "remove it"),
    (|seen| seen.report("admin-retry-job").secret_fits = Some(false),
        "SUPABASE_JWT_SECRET", "did not sign the service key", "JWT secret"),
    (|seen| seen.public_key = Err(refused(401, "", "Invalid API key")),
        "SUPABASE_ANON_KEY", "no key of the project", "public key"),
    (|seen| drop(seen.webhooks.insert(format!("{ADDRESS}good"),
        Err(refused(401, "unauthorized", "Sign in first")))),
        "WEBHOOK_SECRET", "provider-webhook has another one", "deploy live"),
    (|seen| drop(seen.webhooks.insert(format!("{ADDRESS}good"),
        Err(NoAnswer { message: "connection refused".into(), ..NoAnswer::default() }))),
        "FUNCTIONS_URL", "does not arrive", "public address"),
    (|seen| drop(seen.webhooks.insert(format!("{ADDRESS}good"), Ok("staging".into()))),
        "FUNCTIONS_URL", "answers the deployment staging", "this gateway's address"),
    (|seen| seen.state().migrations.as_mut().unwrap().truncate(1),
        "migrations", "missing: doctor", "xtask migrate"),
    (|seen| seen.state().storage.as_mut().unwrap().upload_policy = None,
        "storage policy", "every upload is refused", "create policy"),
    (|seen| seen.state().storage.as_mut().unwrap().upload_policy =
            Some("bucket_id = 'other' and auth.uid()".into()),
        "storage policy", "lets users upload where", "drop policy"),
    (|seen| seen.state().storage.as_mut().unwrap().row_security = Some(false),
        "storage policy", "row level security", "enable row level security"),
    (|seen| seen.bucket("uploads").bytes_max = Some(1024),
        "bucket uploads", "over 1024 bytes", "file_size_limit"),
    (|seen| seen.bucket("results").public = Some(false),
        "bucket results", "private", "public = true"),
    (|seen| seen.bucket("results").types = Some(vec!["image/png".into()]),
        "bucket results", "application/json", "allowed_mime_types"),
    (|seen| seen.state().storage.as_mut().unwrap().buckets.truncate(1),
        "bucket results", "missing", "insert into storage.buckets"),
    (|seen| seen.state().admins = Some(0),
        "admins", "nobody is an admin", "admin_email"),
    (|seen| seen.state().events.retain(|seen| seen.function != "replicate-prediction-checker"),
        "cron replicate-prediction-checker", "never fired", "deploy live"),
    (|seen| seen.state().events.iter_mut()
            .filter(|seen| seen.event == "cron" && seen.function == "cleanup-stale-jobs")
            .for_each(|seen| seen.seconds = 900.0),
        "cron cleanup-stale-jobs", "900 s ago", "deploy live"),
    (|seen| seen.state().events.retain(|seen| {
            seen.event != "queue" || seen.function != "generate-website"
        }),
        "queue generate-website", "no consumer", "makes the consumer"),
    (|seen| drop(seen.probes.insert(("cleanup-stale-jobs".into(), "LLM_HINTS".into()),
        Err(refused(500, "misconfigured", "LLM_HINTS is missing or not valid")))),
        "queues", "cannot send to LLM_HINTS", "deploy live"),
    (|seen| seen.state().health.as_mut().unwrap().stuck = Some(2),
        "health", "2 stuck", "operations.md"),
    (|seen| seen.state().circuits.push(OpenCircuit {
            subject: "replicate".into(), reason: Some("account".into()) }),
        "provider replicate", "account", "operations.md"),
    (|seen| {
            seen.set("purchase-webhook", "PURCHASE_STRIPE_SECRETS", None);
            seen.set("purchase-webhook", "PURCHASE_GENERIC_SECRETS", None);
        },
        "purchases", "grants nothing", "PURCHASE_STRIPE_SECRETS"),
    (|seen| seen.pass_through =
            Err(refused(404, "not_found", "… or set PROJECT_PASS_THROUGH")),
        "PROJECT_PASS_THROUGH", "cannot sign in", "set it to true"),
    (|seen| drop(seen.providers.insert("replicate".into(), Err("401 Unauthorized".into()))),
        "replicate", "401", "REPLICATE_API_TOKEN"),
    (|seen| drop(seen.providers.insert("app runninghub-upscaler pro".into(),
        Err("901 WEBAPP_NOT_EXISTS".into()))),
        "app runninghub-upscaler pro", "WEBAPP_NOT_EXISTS", "RUNNINGHUB_APPS"),
    (|seen| seen.at_cloudflare().changed.push("gateway".into()),
        "Worker gateway", "somebody else made the version", "deploy live"),
    (|seen| drop(seen.at_cloudflare().lacking.insert("placed-run".into(), vec!["crons"])),
        "Worker placed-run", "not as its version says: crons", "deploy live"),
    (|seen| seen.account = Some(Err("Authentication error".into())),
        "Cloudflare", "Authentication error", "CLOUDFLARE_API_TOKEN"),
];

fn lacks(observed: &Observed, expected: &Expected) -> Vec<Finding> {
    findings(observed, expected).into_iter().filter(|finding| !finding.ok).collect()
}

#[test]
fn a_healthy_deployment_lacks_nothing() {
    let (observed, expected) = healthy();
    assert_eq!(lacks(&observed, &expected), []);
    let found = findings(&observed, &expected);
    assert!(found.iter().all(|finding| finding.cure.is_none() && !finding.words.is_empty()));
}

#[test]
fn every_fault_is_told_with_its_cure() {
    for (number, (put, subject, words, cure)) in FAULTS.iter().enumerate() {
        let (mut observed, expected) = healthy();
        put(&mut observed);
        let told = lacks(&observed, &expected);
        let found = told.iter().any(|finding| {
            finding.subject == *subject
                && finding.words.contains(words)
                && finding.cure.as_deref().is_some_and(|found| found.contains(cure))
        });
        assert!(found, "fault {number}, {subject}: {told:#?}");
        // A fault may also be reported by the settings that cause it and by the features that need
        // them.
        assert!(told.len() <= 3, "fault {number}, {subject}: {told:#?}");
    }
}

#[test]
fn a_database_that_does_not_answer_is_told_from_its_refusal() {
    for (refusal, subject, words) in [
        (refused(406, "PGRST106", "Invalid schema"), "database", "not exposed"),
        (refused(404, "PGRST202", "no function"), "database", "old ones"),
        (refused(401, "", "Invalid API key"), SERVICE_KEY, "does not take the key"),
        (NoAnswer::default(), "database", "no answer"),
    ] {
        let (mut observed, expected) = healthy();
        observed.database = Err(refusal);
        let told = lacks(&observed, &expected);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].subject == subject && told[0].words.contains(words), "{told:#?}");
    }
}

#[test]
fn without_known_values_the_function_that_differs_from_the_others_is_named() {
    let (mut observed, mut expected) = healthy();
    expected.known.retain(|name, _| name == SERVICE_KEY);
    assert_eq!(lacks(&observed, &expected), []);
    observed.set("replicate-async-worker", "WEBHOOK_SECRET", Some("another"));
    let told = lacks(&observed, &expected);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0].words, "another value than the other functions' in replicate-async-worker");
}

#[test]
fn a_switch_that_the_files_turn_off_is_no_lack() {
    let (mut observed, mut expected) = healthy();
    observed.pass_through = Err(refused(404, "not_found", "set PROJECT_PASS_THROUGH"));
    expected.known.insert("PROJECT_PASS_THROUGH".to_owned(), "false".to_owned());
    observed.set("gateway", "PROJECT_PASS_THROUGH", Some("false"));
    assert_eq!(lacks(&observed, &expected), []);
}

#[test]
fn a_worker_of_no_function_is_told_with_its_removal_and_is_no_lack() {
    let (mut observed, expected) = healthy();
    observed.at_cloudflare().strays.push("live-old".to_owned());
    assert_eq!(lacks(&observed, &expected), []);
    let found = findings(&observed, &expected);
    let told = found.iter().find(|finding| finding.subject == "Worker live-old").unwrap();
    assert_eq!(told.cure.as_deref(), Some("npx wrangler delete --name live-old"));
}

#[test]
fn after_a_rollback_newer_values_in_the_files_are_told_and_are_no_lack() {
    let (mut observed, mut expected) = healthy();
    expected.known.insert("BUY_URL".to_owned(), "a newer one".to_owned());
    let told = lacks(&observed, &expected);
    assert!(told.len() == 1 && told[0].subject == "BUY_URL", "{told:#?}");

    observed.rolled_back = true;
    assert_eq!(lacks(&observed, &expected), []);
    let found = findings(&observed, &expected);
    let told = found.iter().find(|finding| finding.subject == "rollback").unwrap();
    assert!(told.words.contains("other ones of BUY_URL, and cargo xtask deploy live"), "{told:?}");
    // A function whose value differs from the others' is a lack after a rollback too.
    observed.set("replicate-async-worker", "WEBHOOK_SECRET", Some("another"));
    let told = lacks(&observed, &expected);
    assert!(told.len() == 1 && told[0].subject == "WEBHOOK_SECRET", "{told:#?}");
}

#[test]
fn only_what_comes_by_itself_is_worth_waiting_for() {
    let (mut observed, expected) = healthy();
    observed.state().events.clear();
    observed.state().health = None;
    let told = lacks(&observed, &expected);
    assert!(told.len() > 6 && told.iter().all(|lack| lack.may_pass), "{told:#?}");
    let (mut observed, expected) = healthy();
    observed.state().admins = Some(0);
    assert!(!lacks(&observed, &expected)[0].may_pass);
}
