//! `deploy` asks services for the values that nobody wrote into the files. A written value counts,
//! and a value that cannot be fetched is named with what to do.

use std::time::Duration;

use serde_json::{Value, json};
use stand_ins::config::StandInConfig;
use stand_ins::management::HostedApi;
use xtask::deploy::deployment::Deployment;
use xtask::deploy::fetch::ServiceAddresses;

use crate::world::{ACCOUNT, Cloud, Values};

const PROJECT: &str = "abcdefghijklmnopqrst";
const ACCESS_TOKEN: &str = "sbp_0123456789abcdef";
const REPLICATE_TOKEN: &str = "r8_local_token";
const FETCHED: [&str; 5] = [
    "account_id",
    "SUPABASE_URL",
    "SUPABASE_ANON_KEY",
    "SUPABASE_SERVICE_ROLE_KEY",
    "REPLICATE_WEBHOOK_SECRET",
];

/// The APIs of Cloudflare, Supabase and Replicate.
struct Internet {
    cloud: Cloud,
    api: HostedApi,
    services: ServiceAddresses,
}

impl Internet {
    async fn start() -> Self {
        let cloud = Cloud::start().await;
        let api = HostedApi::start(PROJECT, ACCESS_TOKEN, "public").await.unwrap();
        api.set_keys(json!([
            {"name": "anon", "type": "legacy", "api_key": "ey.legacy.anon"},
            {"name": "service_role", "type": "legacy", "api_key": "ey.legacy.service"},
            {"name": "default", "type": "publishable", "api_key": "sb_publishable_fetched"},
            {"name": "default", "type": "secret", "api_key": "sb_secret_fetched"},
        ]));
        let services = ServiceAddresses {
            cloudflare: cloud.base.clone(),
            supabase: api.url(),
            replicate: Some(replicate().await),
        };
        Self { cloud, api, services }
    }

    async fn complete(&self, values: &Values) -> Result<Deployment, String> {
        self.cloud.folder.write("shop", values);
        let done = Deployment::complete(self.cloud.folder.0.path(), "shop", &self.services).await;
        done.map_err(|error| format!("{error:#}"))
    }

    async fn refusal(&self, values: &Values) -> String {
        let said = self.complete(values).await.err().expect("a refusal");
        for secret in [ACCESS_TOKEN, REPLICATE_TOKEN, "token-of-the-account", "_fetched"] {
            assert!(!said.contains(secret), "{said}");
        }
        said
    }
}

async fn replicate() -> String {
    let config: StandInConfig = serde_json::from_value(json!({
        "port_base": 1, "jwt_secret": "", "anon_key": "", "service_role_key": "",
        "publishable_key": "", "users": [], "storage_dir": std::env::temp_dir(),
        "database_url": "",
    }))
    .unwrap();
    let (providers, _) = stand_ins::providers::routers(&config).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(stand_ins::serve::serve(listener, providers));
    format!("http://{address}/replicate/v1")
}

/// The values that no service can tell.
fn few() -> Values {
    let few = FETCHED.into_iter().fold(Values::needed(), |values, name| values.without(name));
    few.with("SUPABASE_ACCESS_TOKEN", ACCESS_TOKEN).with("REPLICATE_API_TOKEN", REPLICATE_TOKEN)
}

fn names(deployment: &Deployment) -> Vec<&str> {
    let mut names: Vec<&str> = deployment.fetched.iter().map(|fetched| fetched.name).collect();
    names.sort_unstable();
    names
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_tells_needs_not_be_written() {
    let internet = Internet::start().await;
    assert_eq!(few().len(), 8);
    let deployment = internet.complete(&few()).await.unwrap();
    assert_eq!(names(&deployment), sorted(FETCHED.into()));
    assert_eq!(deployment.account_id, ACCOUNT);
    assert_eq!(deployment.vars["SUPABASE_URL"], format!("https://{PROJECT}.supabase.co"));
    assert_eq!(deployment.vars["SUPABASE_ANON_KEY"], "sb_publishable_fetched");
    assert_eq!(deployment.secrets["SUPABASE_SERVICE_ROLE_KEY"], "sb_secret_fetched");
    assert!(deployment.secrets["REPLICATE_WEBHOOK_SECRET"].starts_with("whsec_"));
    assert!(!deployment.secrets.contains_key("SUPABASE_JWT_SECRET"));
    assert_eq!(internet.cloud.account.unknown(), Vec::<String>::new());
    assert_eq!(internet.cloud.account.writes(), Vec::<String>::new());
    let said = format!("{:?}", deployment.fetched);
    assert!(said.contains("fetched from Replicate") && !said.contains("whsec_"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_written_value_wins() {
    let internet = Internet::start().await;
    let values = few()
        .with("account_id", "fedcba9876543210fedcba9876543210")
        .with("SUPABASE_ANON_KEY", "sb_publishable_written")
        .with("REPLICATE_WEBHOOK_SECRET", "whsec_written");
    let deployment = internet.complete(&values).await.unwrap();
    assert_eq!(names(&deployment), ["SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_URL"]);
    assert_eq!(deployment.account_id, "fedcba9876543210fedcba9876543210");
    assert_eq!(deployment.vars["SUPABASE_ANON_KEY"], "sb_publishable_written");
    assert_eq!(deployment.secrets["REPLICATE_WEBHOOK_SECRET"], "whsec_written");

    let values = Values::needed();
    assert_eq!(names(&internet.complete(&values).await.unwrap()), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_signs_by_the_legacy_secret_gives_it() {
    let internet = Internet::start().await;
    for (signing, expected) in [
        (json!([{"algorithm": "HS256", "status": "in_use"}]), true),
        (
            json!([{"algorithm": "ES256", "status": "in_use"},
            {"algorithm": "HS256", "status": "previously_used"}]),
            true,
        ),
        (
            json!([{"algorithm": "ES256", "status": "in_use"},
            {"algorithm": "HS256", "status": "revoked"}]),
            false,
        ),
        (json!([]), true),
    ] {
        internet.api.set_signing(signing.clone(), "the-legacy-secret");
        let deployment = internet.complete(&few()).await.unwrap();
        let given = deployment.secrets.get("SUPABASE_JWT_SECRET").map(String::as_str);
        assert_eq!(given, expected.then_some("the-legacy-secret"), "{signing}");
    }
    let written = few().with("SUPABASE_JWT_SECRET", "the-written-secret");
    let deployment = internet.complete(&written).await.unwrap();
    assert_eq!(deployment.secrets["SUPABASE_JWT_SECRET"], "the-written-secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_is_named_with_what_to_do() {
    let internet = Internet::start().await;
    let refused = |name: &'static str, value: &'static str| few().with(name, value);
    for (values, words) in [
        (
            refused("CLOUDFLARE_API_TOKEN", "another-token"),
            ["account_id: not found; write it into shop.toml", "CLOUDFLARE_API_TOKEN is refused"],
        ),
        (
            refused("SUPABASE_ACCESS_TOKEN", "sbp_another"),
            [
                "SUPABASE_ANON_KEY, SUPABASE_SERVICE_ROLE_KEY: not fetched; write the keys",
                "SUPABASE_ACCESS_TOKEN is refused",
            ],
        ),
        (
            refused("REPLICATE_API_TOKEN", "r8_another"),
            [
                "REPLICATE_WEBHOOK_SECRET: not fetched; write it into shop.secrets",
                "REPLICATE_API_TOKEN is refused",
            ],
        ),
        (
            few().without("SUPABASE_ACCESS_TOKEN"),
            ["SUPABASE_SERVICE_ROLE_KEY: missing.", "where SUPABASE_ACCESS_TOKEN is given"],
        ),
        (
            refused("DATABASE_URL", "postgresql://postgres:w@db.example.org:5432/postgres"),
            ["SUPABASE_URL: missing.", "SUPABASE_ANON_KEY: missing."],
        ),
    ] {
        let said = internet.refusal(&values).await;
        assert!(words.iter().all(|words| said.contains(words)), "{said}");
    }
    internet.api.set_keys(json!([{"name": "default", "type": "secret", "api_key": Value::Null}]));
    let said = internet.refusal(&few().with("SUPABASE_ANON_KEY", "sb_publishable_1")).await;
    assert!(said.contains("SUPABASE_SERVICE_ROLE_KEY: not fetched"), "{said}");
    assert!(said.contains("may not reveal"), "{said}");
    // A fetched key is checked as a written one is.
    internet.api.set_keys(json!([{"name": "default", "type": "secret", "api_key": "of-nobody"}]));
    let said = internet.refusal(&few().with("SUPABASE_ANON_KEY", "sb_publishable_1")).await;
    assert!(said.contains("- SUPABASE_SERVICE_ROLE_KEY: is neither"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_accounts_none_is_chosen() {
    let internet = Internet::start().await;
    let other = "fedcba9876543210fedcba9876543210";
    internet.cloud.account.add_account(other);
    let said = internet.refusal(&few()).await;
    assert!(said.contains("several accounts") && said.contains("account_id"), "{said}");
    assert!(said.contains(ACCOUNT) && said.contains(other), "{said}");
    let deployment = internet.complete(&few().with("account_id", other)).await.unwrap();
    assert_eq!(deployment.account_id, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_calls_are_made_once_more_after_the_wait_that_is_asked_for() {
    let internet = Internet::start().await;
    internet.api.set_rate(1, Duration::from_secs(1));
    let deployment = internet.complete(&few()).await.unwrap();
    assert_eq!(names(&deployment), sorted(FETCHED.into()));
    assert_eq!(internet.api.refused(), 1);
    internet.api.set_rate(0, Duration::from_millis(1));
    let said = internet.refusal(&few()).await;
    assert!(said.contains("429"), "{said}");
}
