//! Writes the configuration with which `wrangler` deploys one function, and runs it. Both files lie
//! in a folder that git ignores; the one with secrets is deleted when the run ends.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::cloudflare::API_VARIABLE;
use super::deployment::{CLOUDFLARE_TOKEN, DEPLOYMENT_ID, Deployment, PLACEMENT_REGION};
use super::journal::{self, VersionTag};
use super::triggers::Triggers;
use crate::command::say;
use crate::function::wrangler::COMPATIBILITY_DATE;
use crate::function::{Function, Ratelimit};
use crate::paths;

/// The pauses after a failure: a moment, half a minute, then Cloudflare's five minutes for too many
/// calls.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(30), Duration::from_secs(300)];
/// What wrangler prints after too many calls.
const TOO_MANY: [&str; 2] = ["throttling your request speed", "429 Too Many Requests"];
/// What wrangler prints if a cron, queue or address was refused; it gives no reason.
const WITHOUT_REASON: &str = "Some triggers failed to deploy";

/// Everything that makes up one Worker.
pub(super) struct Upload {
    pub(super) function: String,
    pub(super) worker: String,
    pub(super) tag: VersionTag,
    pub(super) triggers: Triggers,
    config: Value,
    secrets: Value,
}

impl Upload {
    pub(super) fn of(
        function: &Function,
        deployment: &Deployment,
        functions: &[Function],
    ) -> Result<Self> {
        let config = config(function, deployment, functions);
        let secrets = json!(deployment.secrets_of(function));
        let id = deployment.vars.get(DEPLOYMENT_ID).unwrap_or(&deployment.name);
        let settings = keyed(deployment, &format!("{config}\n{secrets}"))?;
        let tag =
            VersionTag { deployment: id.clone(), code: code_fingerprint(function)?, settings };
        Ok(Self {
            function: function.name.clone(),
            worker: deployment.worker(&function.name),
            triggers: Triggers::of(function, deployment),
            tag,
            config,
            secrets,
        })
    }

    /// Runs `wrangler deploy`, and retries it if Cloudflare may be busy.
    pub(super) async fn run(&self, deployment: &Deployment, base: &str) -> Result<()> {
        for wait in PAUSES {
            match self.run_once(deployment, base).await {
                Err(error) if may_pass(&error.to_string(), wait) => {
                    let (worker, s) = (&self.worker, wait.as_secs());
                    say(format_args!("{worker}: Cloudflare may be busy, waiting for {s} s"));
                    tokio::time::sleep(wait).await;
                }
                ended => return ended,
            }
        }
        self.run_once(deployment, base).await
    }

    /// Code, settings and secrets become one version; then the triggers are set.
    async fn run_once(&self, deployment: &Deployment, base: &str) -> Result<()> {
        let folder = made(deployment);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let config = folder.join(format!("{}.json", self.function));
        std::fs::write(&config, serde_json::to_string_pretty(&self.config)?)?;
        let secrets = SecretFile::write(&folder, &self.function, &self.secrets)?;
        let node_modules = paths::root().join("node_modules");
        let mut command = tokio::process::Command::new(paths::node_bin("node"));
        command
            .arg("--no-warnings")
            // wrangler's launcher would start a child process, which would survive if we are
            // killed.
            .arg(node_modules.join("wrangler/wrangler-dist/cli.js"))
            .arg("deploy")
            .arg("--config")
            .arg(&config)
            .arg("--secrets-file")
            .arg(&secrets.path)
            .args(["--tag", &self.tag.to_string()])
            .args(["--message", &journal::message(&self.triggers)?])
            .current_dir(&folder)
            .env(CLOUDFLARE_TOKEN, &deployment.access.cloudflare_token)
            .env(API_VARIABLE, base)
            .envs([("CI", "1"), ("WRANGLER_SEND_METRICS", "false"), ("NO_COLOR", "1")])
            .env("WRANGLER_HIDE_BANNER", "true")
            .env("XDG_CONFIG_HOME", &folder)
            .env("WRANGLER_LOG_PATH", &folder)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = command.output().await.context("cannot start wrangler; run `npm ci`")?;
        if !output.status.success() {
            let text = [output.stdout, output.stderr].concat();
            bail!("{}: wrangler deploy:\n{}", self.worker, String::from_utf8_lossy(&text).trim());
        }
        Ok(())
    }
}

/// Whether it makes sense to retry after this pause. A refusal without a reason gets only the first
/// retry.
fn may_pass(said: &str, wait: Duration) -> bool {
    TOO_MANY.iter().any(|words| said.contains(words))
        || wait == PAUSES[0] && said.contains(WITHOUT_REASON)
}

/// The folder of the generated files.
fn made(deployment: &Deployment) -> PathBuf {
    paths::local().join("deploy").join(&deployment.name)
}

/// The file with the secrets of one run, which only we can read.
struct SecretFile {
    path: PathBuf,
}

impl SecretFile {
    fn write(folder: &Path, function: &str, secrets: &Value) -> Result<Self> {
        let path = folder.join(format!("{function}.secrets.json"));
        let _ = std::fs::remove_file(&path);
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        std::io::Write::write_all(&mut file, secrets.to_string().as_bytes())?;
        Ok(Self { path })
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn config(function: &Function, deployment: &Deployment, functions: &[Function]) -> Value {
    let services = function.services.iter().map(
        |(binding, service)| json!({ "binding": binding, "service": deployment.worker(service) }),
    );
    let producers = function.producers.iter().map(|producer| {
        json!({ "binding": producer.binding, "queue": deployment.queue(&producer.queue) })
    });
    let consumers = function.consumer.iter().map(|consumer| {
        json!({
            "queue": deployment.queue(&function.name),
            "max_batch_size": consumer.max_batch_size,
            "max_batch_timeout": consumer.max_batch_timeout,
            "max_retries": consumer.max_retries,
        })
    });
    // The paths are relative to the file, so that every clone writes the same text.
    let up = "../../..";
    let mut config = json!({
        "name": deployment.worker(&function.name),
        "account_id": deployment.account_id,
        "main": format!("{up}/functions/{}/build/index.js", function.name),
        "compatibility_date": COMPATIBILITY_DATE,
        "send_metrics": false,
        "workers_dev": function.assets.is_some(),
        "preview_urls": false,
        "observability": { "enabled": true },
        "triggers": { "crons": function.crons },
        "services": services.collect::<Vec<_>>(),
        "ratelimits": ratelimits(&function.ratelimits, &deployment.prefix),
        "queues": {
            "producers": producers.collect::<Vec<_>>(),
            "consumers": consumers.collect::<Vec<_>>(),
        },
        "vars": deployment.vars_of(function, functions),
        "secrets": { "required": function.secrets_required },
        // Without this, wrangler would keep a secret that is no longer given.
        "unsafe": { "metadata": { "keep_bindings": [] } },
    });
    if let Some(cpu_ms) = function.cpu_ms {
        config["limits"] = json!({ "cpu_ms": cpu_ms });
    }
    if let Some(region) = &function.placement_region {
        let region = deployment.vars.get(PLACEMENT_REGION).unwrap_or(region);
        config["placement"] = json!({ "region": region });
    }
    if let Some(assets) = &function.assets {
        config["assets"] = json!({
            "directory": format!("{up}/{}", assets.directory),
            "binding": assets.binding,
            "run_worker_first": assets.run_worker_first,
        });
    }
    config
}

/// The limiters, with other namespaces for each prefix, so that two deployments in one account
/// count apart.
fn ratelimits(limits: &[Ratelimit], prefix: &str) -> Vec<Value> {
    let digest = Sha256::digest(prefix);
    let digits = u32::from_be_bytes([0, 0, digest[0], digest[1]]);
    let apart = if prefix.is_empty() { 0 } else { (digits + 1) * 10_000 };
    let limit = |limit: &Ratelimit| {
        json!({
            "name": limit.binding,
            "namespace_id": (limit.namespace + apart).to_string(),
            "simple": { "limit": limit.limit, "period": 60 },
        })
    };
    limits.iter().map(limit).collect()
}

/// A fingerprint against which only a holder of the service key can test guesses.
fn keyed(deployment: &Deployment, text: &str) -> Result<String> {
    let key = deployment.secrets.get("SUPABASE_SERVICE_ROLE_KEY").cloned().unwrap_or_default();
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .map_err(|error| anyhow::anyhow!("a key of any length is taken: {error}"))?;
    mac.update(text.as_bytes());
    Ok(short(&mac.finalize().into_bytes()))
}

/// The fingerprint of the function's wasm, its JavaScript and its pages.
fn code_fingerprint(function: &Function) -> Result<String> {
    let mut hash = Sha256::new();
    for file in ["index.js", "index_bg.wasm"] {
        let path = function.dir.join("build").join(file);
        let bytes = std::fs::read(&path).with_context(|| {
            format!("no {}; run `cargo xtask build {}`", path.display(), function.name)
        })?;
        hash.update(bytes);
    }
    if let Some(assets) = &function.assets {
        pages(&paths::root().join(&assets.directory), &mut hash)?;
    }
    Ok(short(&hash.finalize()))
}

/// Hashes every file below the folder, by name.
fn pages(folder: &Path, hash: &mut Sha256) -> Result<()> {
    let mut entries: Vec<PathBuf> = folder
        .read_dir()
        .with_context(|| format!("no folder {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    entries.sort();
    for path in entries {
        hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        match path.is_dir() {
            true => pages(&path, hash)?,
            false => hash.update(Sha256::digest(std::fs::read(&path)?)),
        }
    }
    Ok(())
}

fn short(digest: &[u8]) -> String {
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
