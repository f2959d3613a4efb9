//! Makes the configuration that xtask/local/workers.mjs runs: every function with its bindings and
//! with local values of its variables.
//!
//! A function gets exactly what it declares, so that a missing declaration fails locally.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::function::{self, Assets, Function};
use crate::keys::LocalKeys;

/// The inputs of the local values.
pub struct Local<'a> {
    pub port_base: u16,
    pub keys: &'a LocalKeys,
    pub state_dir: &'a Path,
    pub cron: bool,
    /// The folders of functions that only tests run, in addition to `functions/`.
    pub extra_functions: &'a [PathBuf],
    pub overrides: &'a Overrides,
}

/// Function → variable, secret, binding or [`CONSUMER`] → the value that replaces the local one.
/// `None` removes it.
pub type Overrides = BTreeMap<String, BTreeMap<String, Option<String>>>;

/// The key in [`Overrides`] for the queue that a function consumes.
pub const CONSUMER: &str = "the consumer";

/// The ports of Miniflare and of its control server, relative to the port base.
pub const PORT_WORKERS: u16 = 5;
pub const PORT_CONTROL: u16 = 6;
/// The port at which the stand-ins serve the providers' results, relative to the port base.
pub const PORT_RESULTS: u16 = 7;

pub fn config(local: &Local<'_>) -> Result<Value> {
    let mut functions = function::all()?;
    let extras = local.extra_functions.iter().map(|dir| function::of_test(dir));
    let extras = extras.collect::<Result<Vec<_>>>()?;
    if let Some(gateway) = functions.iter_mut().find(|function| function.name == "gateway") {
        gateway.services.extend(
            extras
                .iter()
                .map(|function| (function::binding(&function.name), function.name.clone())),
        );
    }
    functions.extend(extras);
    let workers =
        functions.iter().map(|function| worker(function, local)).collect::<Result<Vec<_>>>()?;
    Ok(json!({
        "port": local.port_base + PORT_WORKERS,
        "controlPort": local.port_base + PORT_CONTROL,
        "stateDir": local.state_dir,
        "log": local.state_dir.join("log/workers.log"),
        "compatibilityDate": function::wrangler::COMPATIBILITY_DATE,
        "cron": local.cron,
        "entry": "gateway",
        "workers": workers,
    }))
}

/// The entries of the named functions, in this order.
pub(crate) fn some(local: &Local<'_>, names: &[&str]) -> Result<Vec<Value>> {
    let functions = function::all()?;
    let named = |name: &&str| {
        let found = functions.iter().find(|function| function.name == *name);
        worker(found.with_context(|| format!("no function {name}"))?, local)
    };
    names.iter().map(named).collect()
}

fn worker(function: &Function, local: &Local<'_>) -> Result<Value> {
    let build = function.dir.join("build");
    if !build.join("index_bg.wasm").exists() {
        bail!("{} is not built: run `cargo xtask build {}`", function.name, function.name);
    }
    let producers: Map<String, Value> = function
        .producers
        .iter()
        // An override can remove a queue, as if it were down.
        .filter(|producer| !matches!(overridden(function, local, &producer.binding), Some(None)))
        .map(|producer| (producer.binding.clone(), json!({ "queueName": producer.queue })))
        .collect();
    let consumers: Map<String, Value> = function
        .consumer
        .iter()
        .filter(|_| !matches!(overridden(function, local, CONSUMER), Some(None)))
        .map(|consumer| {
            let settings = json!({
                "maxBatchSize": consumer.max_batch_size,
                "maxBatchTimeout": consumer.max_batch_timeout,
                "maxRetries": consumer.max_retries,
            });
            (function.name.clone(), settings)
        })
        .collect();
    let services: BTreeMap<&String, &String> = function
        .services
        .iter()
        .filter(|(binding, _)| !matches!(overridden(function, local, binding), Some(None)))
        .collect();
    let ratelimits: Map<String, Value> = function
        .ratelimits
        .iter()
        .map(|limit| {
            let simple = json!({ "limit": limit.limit, "period": 60 });
            let namespace = limit.namespace.to_string();
            (limit.binding.to_owned(), json!({ "namespace_id": namespace, "simple": simple }))
        })
        .collect();
    Ok(json!({
        "name": function.name,
        "dir": build,
        "bindings": bindings(function, local),
        "services": services,
        "queueProducers": producers,
        "queueConsumers": consumers,
        "ratelimits": ratelimits,
        "crons": function.crons,
        "placement": function.placement_region,
        "assets": function.assets.as_ref().map(assets),
    }))
}

fn overridden<'a>(
    function: &Function,
    local: &'a Local<'_>,
    name: &str,
) -> Option<&'a Option<String>> {
    local.overrides.get(&function.name)?.get(name)
}

fn assets(assets: &Assets) -> Value {
    json!({
        "directory": crate::paths::root().join(&assets.directory),
        "binding": assets.binding,
        "routerConfig": {
            "has_user_worker": true,
            "invoke_user_worker_ahead_of_assets": assets.run_worker_first,
        },
    })
}

fn bindings(function: &Function, local: &Local<'_>) -> BTreeMap<String, String> {
    let mut values = local_values(local);
    let mut bindings = function.vars.clone();
    for name in function.variables() {
        let local = values.remove(name.as_str());
        let value = local.or_else(|| function.vars.get(name).cloned());
        // Nothing checks the other secrets locally.
        bindings.insert(name.clone(), value.unwrap_or_else(|| format!("local-{name}")));
    }
    for (name, value) in local.overrides.get(&function.name).into_iter().flatten() {
        match value {
            Some(value) => drop(bindings.insert(name.clone(), value.clone())),
            None => drop(bindings.remove(name)),
        }
    }
    bindings
}

/// The values that differ from those of a deployment.
fn local_values(local: &Local<'_>) -> BTreeMap<&'static str, String> {
    let base = local.port_base;
    let url = format!("http://127.0.0.1:{}", base + 1);
    let providers = format!("127.0.0.1:{}", base + 3);
    let keys = local.keys;
    BTreeMap::from([
        ("FUNCTIONS_URL", format!("{url}/functions/v1")),
        ("SUPABASE_URL", url),
        ("SUPABASE_ANON_KEY", keys.anon_key.clone()),
        ("SUPABASE_SERVICE_ROLE_KEY", keys.service_role_key.clone()),
        ("SUPABASE_SECRET_KEYS", json!({ "default": keys.secret_key }).to_string()),
        ("SUPABASE_JWT_SECRET", keys.jwt_secret.clone()),
        ("CRON_SECRET", keys.cron_secret.clone()),
        // Locally there is no receiver of alerts, unless a test sets one.
        ("ALERT_WEBHOOK_URL", String::new()),
        ("WEBHOOK_SECRET", keys.webhook_secret.clone()),
        ("WEBHOOK_SECRET_PREVIOUS", keys.webhook_secret_previous.clone()),
        ("ALLOWED_INPUT_HOSTS", format!("127.0.0.1:{}", base + 1)),
        // The hosts of the results, and the providers' own port for files that a test scripts.
        ("PROVIDER_OUTPUT_HOSTS", format!("127.0.0.1:{},{providers}", base + PORT_RESULTS)),
        ("RUNNINGHUB_BASE_URL", format!("http://{providers}/runninghub")),
        ("RUNNINGHUB_API_KEY", "rh-local-key".into()),
        ("REPLICATE_BASE_URL", format!("http://{providers}/replicate/v1")),
        ("REPLICATE_API_TOKEN", "r8_local_token".into()),
        ("REPLICATE_WEBHOOK_SECRET", "whsec_cmVwbGljYXRlLWxvY2FsLXdlYmhvb2sta2V5".into()),
        ("STRIPE_BASE_URL", format!("http://{providers}/stripe")),
        ("STRIPE_API_KEY", "rk_test_local".into()),
        ("PURCHASE_STRIPE_SECRETS", "whsec_stripe_local".into()),
        ("PURCHASE_GENERIC_SECRETS", "whsec_Z2VuZXJpYy1sb2NhbC1zZWNyZXQ=".into()),
        ("GEMINI_BASE_URL", format!("http://{providers}/gemini")),
        ("GEMINI_API_KEY", "gemini-local-key".into()),
        ("GEMINI_API_KEY_2", "gemini-local-key-2".into()),
        ("LLM_KIND", "openai".into()),
        ("LLM_BASE_URL", format!("http://{providers}/llm/v1")),
        ("LLM_API_KEY", "llm-local-key".into()),
        ("LLM_MODEL", "local-site-1".into()),
    ])
}
