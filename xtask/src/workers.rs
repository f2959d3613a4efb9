//! The configuration that stand-ins/workers.mjs runs: every function with its bindings, its vars set to local values.
//!
//! A function gets exactly what its environment in wrangler.toml declares, so a forgotten declaration shows up locally.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::keys::Keys;
use crate::wrangler::{self, Assets, Function, Wrangler};

/// What the local values are made from.
pub struct Local<'a> {
    pub port_base: u16,
    pub keys: &'a Keys,
    pub state_dir: &'a Path,
    pub cron: bool,
    /// Folders of test-only functions, beside wrangler.toml's.
    pub extra_functions: &'a [PathBuf],
    /// Function → name → other value, or none at all.
    pub overrides: &'a BTreeMap<String, BTreeMap<String, Option<String>>>,
}

/// Where Miniflare and its control listen.
pub const PORT_WORKERS: u16 = 5;
pub const PORT_CONTROL: u16 = 6;

pub fn config(local: &Local<'_>) -> Result<Value> {
    let wrangler = Wrangler::load()?;
    let mut functions = wrangler.functions;
    let extras = local.extra_functions.iter().map(|dir| extra(dir)).collect::<Result<Vec<_>>>()?;
    if let Some(gateway) = functions.iter_mut().find(|function| function.name == "gateway") {
        gateway.services.extend(
            extras
                .iter()
                .map(|function| (wrangler::binding(&function.name), function.name.clone())),
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
        "compatibilityDate": wrangler.compatibility_date,
        "cron": local.cron,
        "entry": "gateway",
        "workers": workers,
    }))
}

/// A test-only function: no environment, every local value.
fn extra(dir: &Path) -> Result<Function> {
    let dir = crate::paths::root().join(dir);
    let name =
        dir.file_name().context("an extra function is a folder")?.to_string_lossy().into_owned();
    Ok(Function {
        name,
        dir,
        vars: BTreeMap::new(),
        secrets_required: vec!["SUPABASE_URL".into(), "SUPABASE_SERVICE_ROLE_KEY".into()],
        secrets_optional: vec!["SUPABASE_JWT_SECRET".into(), "SUPABASE_SECRET_KEYS".into()],
        services: BTreeMap::new(),
        producers: Vec::new(),
        consumers: Vec::new(),
        crons: Vec::new(),
        ratelimits: Vec::new(),
        assets: None,
    })
}

fn worker(function: &Function, local: &Local<'_>) -> Result<Value> {
    let build = function.dir.join("build");
    if !build.join("index_bg.wasm").exists() {
        bail!("{} is not built: run `cargo xtask build {}`", function.name, function.name);
    }
    let producers: Map<String, Value> = function
        .producers
        .iter()
        // An override to nothing takes a queue away, as when it is down.
        .filter(|producer| !matches!(overridden(function, local, &producer.binding), Some(None)))
        .map(|producer| (producer.binding.clone(), json!({ "queueName": producer.queue })))
        .collect();
    let consumers: Map<String, Value> = function
        .consumers
        .iter()
        .map(|consumer| {
            let settings = json!({
                "maxBatchSize": consumer.max_batch_size,
                "maxBatchTimeout": consumer.max_batch_timeout,
                "maxRetries": consumer.max_retries,
            });
            (consumer.queue.clone(), settings)
        })
        .collect();
    let ratelimits: Map<String, Value> = function
        .ratelimits
        .iter()
        .map(|limit| {
            (
                limit.name.clone(),
                json!({ "namespace_id": limit.namespace_id, "simple": limit.simple }),
            )
        })
        .collect();
    Ok(json!({
        "name": function.name,
        "dir": build,
        "bindings": bindings(function, local)?,
        "services": function.services,
        "queueProducers": producers,
        "queueConsumers": consumers,
        "ratelimits": ratelimits,
        "crons": function.crons,
        "assets": function.assets.as_ref().map(assets),
    }))
}

/// What an override says of a name, if anything.
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
        "routerConfig": { "has_user_worker": true, "invoke_user_worker_ahead_of_assets": assets.run_worker_first },
    })
}

fn bindings(function: &Function, local: &Local<'_>) -> Result<BTreeMap<String, String>> {
    let values = local_values(local);
    let mut bindings = function.vars.clone();
    for name in function.config_names() {
        match values.get(name.as_str()) {
            Some(value) => drop(bindings.insert(name.clone(), value.clone())),
            None if function.vars.contains_key(name) => {}
            None => bail!(
                "{}: no local value for the secret {name}; add one in xtask/src/workers.rs",
                function.name
            ),
        }
    }
    for (name, value) in local.overrides.get(&function.name).into_iter().flatten() {
        match value {
            Some(value) => drop(bindings.insert(name.clone(), value.clone())),
            None => drop(bindings.remove(name)),
        }
    }
    Ok(bindings)
}

/// Where the local stack differs from wrangler.toml's values.
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
        ("WEBHOOK_SECRET", keys.webhook_secret.clone()),
        ("WEBHOOK_SECRET_PREVIOUS", keys.webhook_secret_previous.clone()),
        ("ALLOWED_INPUT_HOSTS", format!("127.0.0.1:{}", base + 1)),
        ("PROVIDER_OUTPUT_HOSTS", providers.clone()),
        ("RUNNINGHUB_BASE_URL", format!("http://{providers}/runninghub")),
        ("RUNNINGHUB_API_KEY", "rh-local-key".into()),
        ("REPLICATE_BASE_URL", format!("http://{providers}/replicate/v1")),
        ("REPLICATE_API_TOKEN", "r8_local_token".into()),
        ("REPLICATE_WEBHOOK_SECRET", "whsec_cmVwbGljYXRlLWxvY2FsLXdlYmhvb2sta2V5".into()),
        ("GEMINI_BASE_URL", format!("http://{providers}/gemini")),
        ("GEMINI_API_KEY", "gemini-local-key".into()),
        ("GEMINI_API_KEY_2", "gemini-local-key-2".into()),
        ("LLM_KIND", "openai".into()),
        ("LLM_BASE_URL", format!("http://{providers}/llm/v1")),
        ("LLM_API_KEY", "llm-local-key".into()),
        ("LLM_MODEL", "local-site-1".into()),
    ])
}
