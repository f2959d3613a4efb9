//! The only reader of wrangler.toml: one [`Function`] per environment. Never writes it (see [`crate::scaffold`]).

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::paths;

/// The whole file.
#[derive(Debug)]
pub struct Wrangler {
    pub compatibility_date: String,
    pub functions: Vec<Function>,
}

/// One `[env.<name>]`.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    /// The crate's folder.
    pub dir: PathBuf,
    pub vars: BTreeMap<String, String>,
    pub secrets_required: Vec<String>,
    /// From the line `# optional = [...]` in its secrets: wrangler has no field for them.
    pub secrets_optional: Vec<String>,
    /// Binding → function.
    pub services: BTreeMap<String, String>,
    pub producers: Vec<Producer>,
    pub consumers: Vec<Consumer>,
    pub crons: Vec<String>,
    pub ratelimits: Vec<Ratelimit>,
    pub assets: Option<Assets>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Assets {
    /// In the checkout.
    pub directory: String,
    pub binding: String,
    pub run_worker_first: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Producer {
    pub binding: String,
    pub queue: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Consumer {
    pub queue: String,
    pub max_batch_size: u32,
    pub max_batch_timeout: u32,
    pub max_retries: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Ratelimit {
    pub name: String,
    pub namespace_id: String,
    pub simple: serde_json::Value,
}

#[derive(Deserialize)]
struct File {
    compatibility_date: String,
    env: BTreeMap<String, Env>,
}

#[derive(Deserialize)]
struct Env {
    name: String,
    main: String,
    #[serde(default)]
    vars: BTreeMap<String, String>,
    #[serde(default)]
    secrets: Secrets,
    #[serde(default)]
    services: Vec<Service>,
    #[serde(default)]
    queues: Queues,
    #[serde(default)]
    triggers: Triggers,
    #[serde(default)]
    ratelimits: Vec<Ratelimit>,
    assets: Option<Assets>,
}

#[derive(Default, Deserialize)]
struct Secrets {
    #[serde(default)]
    required: Vec<String>,
}

#[derive(Deserialize)]
struct Service {
    binding: String,
    service: String,
}

#[derive(Default, Deserialize)]
struct Queues {
    #[serde(default)]
    producers: Vec<Producer>,
    #[serde(default)]
    consumers: Vec<Consumer>,
}

#[derive(Default, Deserialize)]
struct Triggers {
    #[serde(default)]
    crons: Vec<String>,
}

impl Wrangler {
    pub fn load() -> Result<Self> {
        let path = paths::root().join("wrangler.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).context("wrangler.toml")
    }

    pub fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        let mut optional = optional_secrets(text)?;
        let functions = file.env.into_iter().map(|(key, env)| {
            if env.name != key || env.main != format!("functions/{key}/build/index.js") {
                bail!("[env.{key}] must be named {key} and have its main in functions/{key}/build/index.js");
            }
            Ok(Function {
                dir: paths::root().join("functions").join(&key),
                secrets_optional: optional.remove(&key).unwrap_or_default(),
                name: key,
                vars: env.vars,
                secrets_required: env.secrets.required,
                services: env.services.into_iter().map(|service| (service.binding, service.service)).collect(),
                producers: env.queues.producers,
                consumers: env.queues.consumers,
                crons: env.triggers.crons,
                ratelimits: env.ratelimits,
                assets: env.assets,
            })
        });
        Ok(Self {
            compatibility_date: file.compatibility_date,
            functions: functions.collect::<Result<_>>()?,
        })
    }
}

impl Function {
    /// Every name that the function may read as configuration.
    pub fn config_names(&self) -> impl Iterator<Item = &String> {
        self.vars.keys().chain(&self.secrets_required).chain(&self.secrets_optional)
    }
}

fn optional_secrets(text: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let mut found = BTreeMap::new();
    let mut section = "";
    for line in text.lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = header
                .strip_suffix(".secrets]")
                .and_then(|name| name.strip_prefix("env."))
                .unwrap_or_default();
        } else if let Some(list) = line.strip_prefix("# optional = ")
            && !section.is_empty()
        {
            let names = serde_json::from_str(list)
                .with_context(|| format!("[env.{section}.secrets]: `{line}`"))?;
            found.insert(section.to_owned(), names);
        }
    }
    Ok(found)
}

/// The gateway's binding for a function.
pub fn binding(function: &str) -> String {
    function.to_ascii_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_bound_to_every_other_function() {
        let wrangler = Wrangler::load().unwrap();
        let gateway =
            wrangler.functions.iter().find(|function| function.name == "gateway").unwrap();
        let others: BTreeMap<_, _> = wrangler
            .functions
            .iter()
            .filter(|function| function.name != "gateway")
            .map(|function| (binding(&function.name), function.name.clone()))
            .collect();
        assert_eq!(gateway.services, others);
    }

    #[test]
    fn optional_secrets_are_read_from_their_comment() {
        let wrangler = Wrangler::load().unwrap();
        let sweeper = wrangler
            .functions
            .iter()
            .find(|function| function.name == "cleanup-stale-jobs")
            .unwrap();
        assert!(sweeper.secrets_optional.contains(&"CRON_SECRET".to_owned()));
        assert!(!sweeper.secrets_required.contains(&"CRON_SECRET".to_owned()));
    }
}
