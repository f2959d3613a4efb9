//! `cargo xtask doctor` reports what a deployment lacks, each with the command that mends it.
//!
//! * [`observed`]: the types of what can be observed of a deployment from outside
//! * [`look`]: observes it over HTTP with the service key; no value of a setting is returned
//! * [`providers`]: free calls to the providers whose keys are known here
//! * [`findings`], [`account_findings`], [`storage_findings`]: pure functions that judge the
//!   observations
//! * [`trial`]: places one real order and gives its price back

mod account_findings;
mod findings;
mod look;
mod observed;
mod providers;
mod storage_findings;
mod trial;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use shared::core::config::GROUPS;

use crate::command::say;
use crate::deploy;
use crate::deploy::account::DeploymentAccount;
use crate::deploy::cloudflare::Cloudflare;
use crate::deploy::deployment::Deployment;
use crate::deploy::fetch::ServiceAddresses;
use crate::function::{self, Function};

pub use findings::findings;
pub use observed::{
    DatabaseState, EventSeen, Expected, NoAnswer, Observed, OpenCircuit, PageState, SeenBucket,
    StorageState, StoredCounts, ToldSettings,
};

const SERVICE_KEY: &str = "SUPABASE_SERVICE_ROLE_KEY";
const FUNCTIONS_PATH: &str = "/functions/v1";

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub subject: String,
    pub ok: bool,
    pub words: String,
    /// The command or the act that mends it.
    pub cure: Option<String>,
    /// Whether the lack may disappear by itself soon, as that of a cron that has not fired yet.
    #[serde(skip)]
    pub may_pass: bool,
}

/// The deployment that the doctor examines, and the settings of it that are known here.
#[derive(Clone, Default)]
pub struct DoctorTarget {
    /// The name of the deployment's files; none if only an address was given.
    pub name: Option<String>,
    /// The gateway's address, without a slash at its end.
    pub gateway: String,
    /// The settings whose values are known here, by name; the service key is one of them.
    pub known: BTreeMap<String, String>,
    /// The deployment's Cloudflare account, which is examined too.
    pub account: Option<DeploymentAccount>,
    /// Whether a rollback made the functions older than the files.
    pub rolled_back: bool,
    pub order: Option<TrialOrder>,
}

/// A tool to order once, and an ordinary user of the app who has credits.
#[derive(Clone, Debug)]
pub struct TrialOrder {
    pub tool: String,
    pub email: String,
    pub password: String,
}

impl TrialOrder {
    /// The user is that of `DOCTOR_EMAIL` and `DOCTOR_PASSWORD`.
    fn of(tool: String) -> Result<Self> {
        let given = |name: &str| {
            std::env::var(name).with_context(|| format!("set {name}: a user of the app orders"))
        };
        Ok(Self { tool, email: given("DOCTOR_EMAIL")?, password: given("DOCTOR_PASSWORD")? })
    }
}

impl DoctorTarget {
    /// Finds the deployment by the name of its two files or by its address. For an address, the
    /// settings are read from the environment, as far as they are set there.
    pub async fn of(name_or_url: &str) -> Result<Self> {
        if name_or_url.starts_with("http://") || name_or_url.starts_with("https://") {
            return Self::at(name_or_url);
        }
        let services = ServiceAddresses::default();
        let mut deployment =
            Deployment::complete(&deploy::folder(), name_or_url, &services).await?;
        // Cloudflare knows the address of a gateway that has no domain of its own.
        let cloud = Cloudflare::connect_for(&mut deployment).await?;
        let target = Self::of_deployment(&deployment)?;
        Ok(Self { account: Some(DeploymentAccount { cloud, deployment }), ..target })
    }

    pub fn of_deployment(deployment: &Deployment) -> Result<Self> {
        let mut known = deployment.vars.clone();
        known.extend(deployment.secrets.clone());
        Ok(Self {
            name: Some(deployment.name.clone()),
            gateway: origin(&deployment.gateway_url()?),
            known,
            ..Self::default()
        })
    }

    fn at(url: &str) -> Result<Self> {
        let settings = GROUPS.iter().flat_map(|group| group.settings);
        let known: BTreeMap<String, String> = settings
            .filter_map(|setting| {
                Some((setting.name.to_owned(), std::env::var(setting.name).ok()?))
            })
            .collect();
        if !known.contains_key(SERVICE_KEY) {
            bail!("set {SERVICE_KEY} in the environment: the functions answer the service alone");
        }
        Ok(Self { gateway: origin(url), known, ..Self::default() })
    }

    fn service_key(&self) -> Result<&str> {
        let key = self.known.get(SERVICE_KEY).filter(|key| !key.is_empty());
        key.map(String::as_str).with_context(|| format!("{SERVICE_KEY} is not known"))
    }
}

/// Removes the functions' path and the slash at the end of an address.
fn origin(url: &str) -> String {
    let url = url.trim_end_matches('/');
    url.strip_suffix(FUNCTIONS_PATH).unwrap_or(url).trim_end_matches('/').to_owned()
}

/// Observes a deployment and judges it. Fails only if the examination itself cannot start.
pub async fn check(target: &DoctorTarget) -> Result<Vec<Finding>> {
    let functions = function::all()?;
    let expected = Expected::of(target, functions)?;
    let observed = look::look(target, &expected).await?;
    let mut found = findings(&observed, &expected);
    if let Some(order) = &target.order {
        found.push(trial::place(target, &observed, order).await);
    }
    Ok(found)
}

/// The task: prints the findings and fails if something is lacking.
pub async fn task(name_or_url: &str, as_json: bool, order: Option<String>) -> Result<()> {
    let order = order.map(TrialOrder::of).transpose()?;
    let target = DoctorTarget { order, ..DoctorTarget::of(name_or_url).await? };
    let found = check(&target).await?;
    if as_json {
        let document = serde_json::json!({
            "ok": found.iter().all(|finding| finding.ok),
            "findings": found,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        report(&found);
    }
    refuse_lacks(&found)
}

/// Fails if a finding is a lack.
pub fn refuse_lacks(found: &[Finding]) -> Result<()> {
    let lacking = found.iter().filter(|finding| !finding.ok).count();
    match lacking {
        0 => Ok(()),
        1 => bail!("1 thing is lacking"),
        more => bail!("{more} things are lacking"),
    }
}

/// Prints the findings.
pub fn report(found: &[Finding]) {
    for Finding { subject, ok, words, cure, .. } in found {
        let mark = if *ok { "ok" } else { "LACKING" };
        say(format_args!("{mark:>7}  {subject}: {words}"));
        if let Some(cure) = cure {
            say(format_args!("         mend: {cure}"));
        }
    }
}

/// The functions that read a setting.
fn readers<'a>(functions: &'a [Function], setting: &str) -> Vec<&'a Function> {
    let reads = |function: &&Function| function.variables().any(|name| name == setting);
    functions.iter().filter(reads).collect()
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn an_address_is_taken_with_and_without_the_functions_path() {
        for url in ["https://a.app", "https://a.app/", "https://a.app/functions/v1/"] {
            assert_eq!(origin(url), "https://a.app", "{url}");
        }
    }
}
