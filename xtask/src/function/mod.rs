//! Assembles a [`Function`] from its `function.toml`, the operations in its `shared::function!` and
//! the settings of `shared::core::config`.
//!
//! wrangler.toml, the gateway's bindings, the README's table, docs/configuration.md and the local
//! stack are made from the functions.

pub mod docs;
pub mod ops;
pub mod wrangler;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use shared::core::config::{GROUPS, Presence, Setting, SettingGroup};

use crate::paths;
use ops::DeclaredOps;

/// The variable whose starting value lists the hosts of the function's providers.
const OUTPUT_HOSTS: &str = "PROVIDER_OUTPUT_HOSTS";
/// The limiters that all functions share: quota, binding, namespace, calls per minute of one user.
const SHARED_LIMITERS: [(&str, &str, u32, u32); 2] =
    [("Read", "READ_LIMIT", 1101, 600), ("Other", "OTHER_LIMIT", 1102, 240)];
/// The limiter of orders: quota, binding, calls per minute of one user.
pub(crate) const ORDER_LIMITER: (&str, &str, u32) = ("Order", "RATE_LIMIT", 60);

/// A function with everything that follows from its declaration.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    /// The crate's folder.
    pub dir: PathBuf,
    /// The purpose in one sentence, for the README.
    pub summary: String,
    /// The callers, for the README; empty for the gateway.
    pub callers: String,
    /// The groups of settings that the function reads.
    pub groups: Vec<&'static SettingGroup>,
    /// Variable → its value in wrangler.toml.
    pub vars: BTreeMap<String, String>,
    /// The secrets without which a deploy fails.
    pub secrets_required: Vec<String>,
    pub secrets_optional: Vec<String>,
    /// Binding → function.
    pub services: BTreeMap<String, String>,
    pub producers: Vec<Producer>,
    pub consumer: Option<Consumer>,
    pub crons: Vec<String>,
    pub ratelimits: Vec<Ratelimit>,
    /// The static pages; only the gateway has them.
    pub assets: Option<Assets>,
    /// The limit of CPU time in milliseconds, in place of the platform's.
    pub cpu_ms: Option<u32>,
    /// The cloud region near which a placed function runs. The gateway has no binding to it.
    pub placement_region: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assets {
    /// The path below the checkout.
    pub directory: String,
    pub binding: String,
    pub run_worker_first: bool,
}

/// A queue to which a function sends hints.
#[derive(Clone, Debug)]
pub struct Producer {
    pub binding: String,
    pub queue: String,
}

/// How a function consumes the queue of its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    pub max_batch_size: u32,
    /// The seconds to wait for a full batch.
    pub max_batch_timeout: u32,
    pub max_retries: u32,
}

#[derive(Clone, Debug)]
pub struct Ratelimit {
    pub binding: &'static str,
    /// Limiters with the same namespace are one limiter.
    pub namespace: u32,
    /// The calls per minute of one user.
    pub limit: u32,
}

/// `function.toml`, which holds what the function's code does not tell.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    summary: String,
    /// The groups of settings that every call needs.
    settings: Vec<String>,
    /// The groups of settings that only some calls need.
    #[serde(default)]
    settings_of_some_calls: Vec<String>,
    #[serde(default)]
    crons: Vec<String>,
    queue: Option<Queue>,
    /// The functions to whose queues this function sends hints.
    #[serde(default)]
    wakes: Vec<String>,
    /// The functions that this function calls.
    #[serde(default)]
    calls: Vec<String>,
    /// The namespace of the limiter for its orders.
    order_limiter: Option<u32>,
    /// Quotas that the function's code counts calls against, in addition to those of its
    /// operations.
    #[serde(default)]
    counts_as: BTreeSet<String>,
    cpu_ms: Option<u32>,
    placement_region: Option<String>,
    assets: Option<Assets>,
    /// Starting values that replace those of the settings.
    #[serde(default)]
    vars: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Queue {
    binding: String,
    max_batch_size: u32,
}

/// The names of all functions, and of those to which the gateway is bound.
#[derive(Default)]
struct FunctionNames<'a> {
    all: Vec<&'a str>,
    public: Vec<&'a str>,
}

/// Every function of `functions/`, by name.
pub fn all() -> Result<Vec<Function>> {
    let folder = paths::root().join("functions");
    let mut declared = BTreeMap::new();
    for entry in folder.read_dir().with_context(|| format!("no folder {}", folder.display()))? {
        let dir = entry?.path();
        if dir.join("Cargo.toml").exists() {
            let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let parts = read(&dir).with_context(|| format!("functions/{name}"))?;
            declared.insert(name, parts);
        }
    }
    let queues: BTreeMap<&str, &Queue> = declared
        .iter()
        .filter_map(|(name, (declaration, _))| Some((name.as_str(), declaration.queue.as_ref()?)))
        .collect();
    let names = FunctionNames {
        all: declared.keys().map(String::as_str).collect(),
        public: declared
            .iter()
            .filter(|(_, (declaration, _))| declaration.placement_region.is_none())
            .map(|(name, _)| name.as_str())
            .collect(),
    };
    let function = |(name, (declaration, ops)): (&String, &(Declaration, DeclaredOps))| {
        assemble(name, declaration, ops, &names, &queues)
            .with_context(|| format!("functions/{name}/function.toml"))
    };
    declared.iter().map(function).collect()
}

/// A function outside of `functions/`, which only tests run.
pub fn of_test(dir: &Path) -> Result<Function> {
    let dir = paths::root().join(dir);
    let name = dir.file_name().context("a function is a folder")?.to_string_lossy().into_owned();
    let (declaration, ops) = read(&dir)?;
    Ok(Function {
        dir,
        ..assemble(&name, &declaration, &ops, &FunctionNames::default(), &BTreeMap::new())?
    })
}

fn read(dir: &Path) -> Result<(Declaration, DeclaredOps)> {
    let text = std::fs::read_to_string(dir.join("function.toml")).context("no function.toml")?;
    Ok((toml::from_str(&text).context("function.toml")?, DeclaredOps::read(dir)?))
}

fn assemble(
    name: &str,
    declaration: &Declaration,
    ops: &DeclaredOps,
    names: &FunctionNames<'_>,
    queues: &BTreeMap<&str, &Queue>,
) -> Result<Function> {
    if declaration.crons.is_empty() == ops.has_cron {
        bail!("`crons` here and `cron:` in its `shared::function!` belong together");
    }
    if declaration.queue.is_some() != ops.has_queue {
        bail!("`queue` here and `queue:` in its `shared::function!` belong together");
    }
    let groups = groups(declaration, ops)?;
    let settings = || groups.iter().flat_map(|group| group.settings);
    let secrets = |is_deployed: bool| {
        let deployed =
            |of: &Setting| matches!(of.presence, Presence::Required | Presence::Deployed);
        settings()
            .filter(|setting| setting.example.is_none() && deployed(setting) == is_deployed)
            .map(|setting| setting.name.to_owned())
            .collect()
    };
    Ok(Function {
        name: name.to_owned(),
        dir: paths::root().join("functions").join(name),
        summary: declaration.summary.clone(),
        callers: ops.callers(),
        vars: vars(declaration, &groups)?,
        secrets_required: secrets(true),
        secrets_optional: secrets(false),
        services: services(name, declaration, names)?,
        producers: producers(declaration, queues)?,
        consumer: declaration.queue.as_ref().map(|queue| Consumer {
            max_batch_size: queue.max_batch_size,
            max_batch_timeout: 0,
            max_retries: 3,
        }),
        crons: declaration.crons.clone(),
        ratelimits: ratelimits(declaration, ops)?,
        assets: declaration.assets.clone(),
        cpu_ms: declaration.cpu_ms,
        placement_region: declaration.placement_region.clone(),
        groups,
    })
}

/// The groups that the function lists and those that its operations need, in the order of `GROUPS`.
fn groups(declaration: &Declaration, ops: &DeclaredOps) -> Result<Vec<&'static SettingGroup>> {
    let mut names: BTreeSet<&str> = declaration
        .settings
        .iter()
        .chain(&declaration.settings_of_some_calls)
        .map(String::as_str)
        .collect();
    if let Some(unknown) =
        names.iter().find(|name| !GROUPS.iter().any(|group| group.name == **name))
    {
        bail!("there is no group of settings {unknown} in shared/src/core/config/settings.rs");
    }
    if ops.checks_identity() {
        names.insert("tokens");
    }
    if ops.is_scheduled() {
        names.extend(["schedule", "alerts", "outgoing-webhooks"]);
    }
    if ops.quotas().contains(ORDER_LIMITER.0) {
        names.insert("orders");
    }
    Ok(GROUPS.iter().filter(|group| names.contains(group.name)).collect())
}

fn vars(
    declaration: &Declaration,
    groups: &[&'static SettingGroup],
) -> Result<BTreeMap<String, String>> {
    let hosts: Vec<&str> = groups.iter().filter_map(|group| group.results_from).collect();
    let settings = groups.iter().flat_map(|group| group.settings);
    let mut vars: BTreeMap<String, String> = settings
        .filter_map(|setting| Some((setting.name.to_owned(), setting.example?.to_owned())))
        .collect();
    if let Some(value) = vars.get_mut(OUTPUT_HOSTS) {
        *value = hosts.join(",");
    }
    for (name, own) in &declaration.vars {
        let value = vars.get_mut(name).with_context(|| format!("it reads no var {name}"))?;
        own.clone_into(value);
    }
    Ok(vars)
}

/// Binds the gateway to every other function except the placed ones, and any other function to
/// those that it calls.
fn services(
    name: &str,
    declaration: &Declaration,
    names: &FunctionNames<'_>,
) -> Result<BTreeMap<String, String>> {
    let called: Vec<&str> = match declaration.assets {
        Some(_) => names.public.iter().copied().filter(|other| *other != name).collect(),
        None => declaration.calls.iter().map(String::as_str).collect(),
    };
    if let Some(unknown) = called.iter().find(|other| !names.all.contains(other)) {
        bail!("it calls {unknown}, which is no function");
    }
    Ok(called.into_iter().map(|other| (binding(other), other.to_owned())).collect())
}

/// The queues of the functions to which this function sends hints.
fn producers(declaration: &Declaration, queues: &BTreeMap<&str, &Queue>) -> Result<Vec<Producer>> {
    let woken = declaration.wakes.iter().map(String::as_str);
    woken
        .map(|function| {
            let queue = queues.get(function);
            let queue =
                queue.with_context(|| format!("it wakes {function}, which has no queue"))?;
            Ok(Producer { binding: queue.binding.clone(), queue: function.to_owned() })
        })
        .collect()
}

fn ratelimits(declaration: &Declaration, ops: &DeclaredOps) -> Result<Vec<Ratelimit>> {
    let mut quotas = ops.quotas();
    quotas.extend(declaration.counts_as.iter().map(String::as_str));
    let mut limits = Vec::new();
    if quotas.remove(ORDER_LIMITER.0) {
        let namespace = declaration.order_limiter.context("its orders need an `order_limiter`")?;
        limits.push(Ratelimit { binding: ORDER_LIMITER.1, namespace, limit: ORDER_LIMITER.2 });
    } else if declaration.order_limiter.is_some() {
        bail!("it has an `order_limiter` and no operation that counts as `Order`");
    }
    for (quota, binding, namespace, limit) in SHARED_LIMITERS {
        if quotas.remove(quota) {
            limits.push(Ratelimit { binding, namespace, limit });
        }
    }
    match quotas.first() {
        Some(unknown) => bail!("the quota {unknown} has no limiter"),
        None => Ok(limits),
    }
}

impl Function {
    /// The names of all settings that the function may read.
    pub fn variables(&self) -> impl Iterator<Item = &String> {
        self.vars.keys().chain(&self.secrets_required).chain(&self.secrets_optional)
    }
}

/// The name of a binding to a function.
pub fn binding(function: &str) -> String {
    function.to_ascii_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::core::config::required;

    #[test]
    fn the_gateway_is_bound_to_every_other_function_but_the_placed_one() {
        let functions = all().unwrap();
        let gateway = functions.iter().find(|function| function.name == "gateway").unwrap();
        let others: BTreeMap<_, _> = functions
            .iter()
            .filter(|function| function.name != "gateway" && function.name != "placed-run")
            .map(|function| (binding(&function.name), function.name.clone()))
            .collect();
        assert_eq!(gateway.services, others);
    }

    #[test]
    fn what_a_function_requires_is_read_as_a_toml_parser_reads_it() {
        for function in all().unwrap() {
            let text = std::fs::read_to_string(function.dir.join("function.toml")).unwrap();
            let declaration: Declaration = toml::from_str(&text).unwrap();
            let read: Vec<&str> = required(text.leak()).groups().collect();
            assert_eq!(read, declaration.settings, "{}", function.name);
        }
    }

    #[test]
    fn a_name_that_means_nothing_is_refused() {
        let assemble = |text: &str| {
            let declaration = toml::from_str(text).unwrap();
            let names = FunctionNames { all: vec!["one"], public: vec!["one"] };
            let function =
                |ops| super::assemble("one", &declaration, ops, &names, &BTreeMap::new());
            format!("{:#}", function(&DeclaredOps::default()).unwrap_err())
        };
        let head = "summary = \"\"\nsettings = []\n";
        for (line, name) in [
            ("wakes = [\"cats\"]", "cats"),
            ("calls = [\"cats\"]", "cats"),
            ("counts_as = [\"Cats\"]", "Cats"),
            ("settings_of_some_calls = [\"cats\"]", "cats"),
            ("vars = { CATS = \"2\" }", "CATS"),
            ("crons = [\"* * * * *\"]", "crons"),
            ("order_limiter = 7", "order_limiter"),
        ] {
            let error = assemble(&format!("{head}{line}"));
            assert!(error.contains(name), "{line}: {error}");
        }
    }
}
