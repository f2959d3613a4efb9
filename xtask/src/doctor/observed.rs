//! The types of what can be observed of a deployment, and of what is expected of it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::DoctorTarget;
use crate::deploy::account::AccountState;
use crate::function::Function;
use crate::paths;

/// Why a request has no usable answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoAnswer {
    /// The HTTP status; none if there was no answer.
    pub status: Option<u16>,
    /// The answer's `code`.
    pub code: String,
    /// The answer's `message`, or the reason why there was no answer.
    pub message: String,
}

impl NoAnswer {
    pub fn words(&self) -> String {
        match self.status {
            Some(status) => format!("{status} {} {}", self.code, self.message).trim().to_owned(),
            None => format!("no answer: {}", self.message),
        }
    }
}

/// What a function reports of its settings at `__settings`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldSettings {
    pub deployment: String,
    /// Setting → fingerprint of its value.
    pub settings: BTreeMap<String, Option<String>>,
    pub key_ids: Option<Vec<String>>,
    pub secret_fits: Option<bool>,
    pub webhook: Option<String>,
}

/// The part of `/config.json` that the doctor reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageState {
    pub supabase_url: String,
    pub supabase_key: String,
    /// `None` for the gateway of an older version.
    pub uploads_bucket: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SeenBucket {
    pub id: String,
    pub public: Option<bool>,
    pub bytes_max: Option<i64>,
    pub types: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct StorageState {
    pub buckets: Vec<SeenBucket>,
    pub row_security: Option<bool>,
    /// The condition of the policy that lets users upload.
    pub upload_policy: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EventSeen {
    pub function: String,
    pub event: String,
    pub seconds: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OpenCircuit {
    pub subject: String,
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct StoredCounts {
    pub last_sweep_seconds: Option<i64>,
    pub stuck: Option<i64>,
    pub violations: Option<i64>,
}

/// The row that says to which deployment the database belongs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DeploymentRow {
    pub id: String,
    pub uploads_bucket: Option<String>,
    pub results_bucket: Option<String>,
}

/// The answer of `doctor_v1`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct DatabaseState {
    pub identity: Option<DeploymentRow>,
    pub storage: Option<StorageState>,
    pub admins: Option<i64>,
    pub migrations: Option<Vec<String>>,
    pub events: Vec<EventSeen>,
    pub health: Option<StoredCounts>,
    pub published: bool,
    pub circuits: Vec<OpenCircuit>,
    pub tools: Vec<String>,
    pub packs: i64,
}

/// Everything that the doctor observed.
#[derive(Clone, Debug)]
pub struct Observed {
    pub page: Result<PageState, NoAnswer>,
    /// Function → the settings that it reports.
    pub reports: BTreeMap<String, Result<ToldSettings, NoAnswer>>,
    /// The database's state after the probes had time to arrive.
    pub database: Result<DatabaseState, NoAnswer>,
    /// The result of reading a table with the public key.
    pub public_key: Result<(), NoAnswer>,
    /// The ids of the project's public keys.
    pub key_ids: Result<Vec<String>, NoAnswer>,
    /// The gateway's answer for a path of the project.
    pub pass_through: Result<(), NoAnswer>,
    /// The address of a job that does not exist → the deployment that answered there.
    pub webhooks: BTreeMap<String, Result<String, NoAnswer>>,
    /// Function and binding → whether it could send a probe.
    pub probes: BTreeMap<(String, String), Result<(), NoAnswer>>,
    /// Seconds since the first probe was sent, with some slack.
    pub probed_seconds: f64,
    /// The Workers as Cloudflare shows them; none if Cloudflare was not asked.
    pub account: Option<Result<AccountState, String>>,
    /// Whether a rollback made the functions older than the files.
    pub rolled_back: bool,
    /// Provider or app → the result of a free call to it.
    pub providers: BTreeMap<String, Result<(), String>>,
}

/// What the checkout and the deployment's files expect.
#[derive(Clone, Debug)]
pub struct Expected {
    pub name: Option<String>,
    pub functions: Vec<Function>,
    pub known: BTreeMap<String, String>,
    /// The names of all migrations.
    pub migrations: Vec<String>,
}

impl Expected {
    pub(super) fn of(target: &DoctorTarget, functions: Vec<Function>) -> Result<Self> {
        let (name, known) = (target.name.clone(), target.known.clone());
        Ok(Self { name, functions, known, migrations: migrations()? })
    }
}

/// The names of the migrations in this checkout, as `unstuck_private.migrations` would have them.
fn migrations() -> Result<Vec<String>> {
    let folder = paths::root().join("supabase/migrations");
    let entries = folder.read_dir().with_context(|| format!("no folder {}", folder.display()))?;
    let names = entries.flatten().filter_map(|entry| {
        let file = entry.file_name().to_string_lossy().into_owned();
        let (_, name) = file.strip_suffix(".sql")?.split_once('_')?;
        Some(name.to_owned())
    });
    Ok(names.collect())
}
