//! Reads the two settings files of a deployment, `deploy/<name>.toml` and `deploy/<name>.secrets`.
//! An error names all their faults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::files::{OwnFile, Secrets, SettingFault};
use super::{checks, values};
use crate::function::{self, Function};
use crate::keys;

/// The secrets that `deploy` makes and writes into the file if they are missing.
pub const MADE_SECRETS: [&str; 2] = ["WEBHOOK_SECRET", "CRON_SECRET"];
/// The variables that are derived from the account's address and from the deployment's name.
pub(crate) const DERIVED: [&str; 2] = [FUNCTIONS_URL, DEPLOYMENT_ID];
/// The settings that only the deploy itself needs; no function receives them.
pub(super) const CLOUDFLARE_TOKEN: &str = "CLOUDFLARE_API_TOKEN";
pub(super) const DATABASE_URL: &str = "DATABASE_URL";
pub(super) const SUPABASE_TOKEN: &str = "SUPABASE_ACCESS_TOKEN";
/// The URL of the functions. If it is not given, it is derived from the account's address.
pub(super) const FUNCTIONS_URL: &str = "FUNCTIONS_URL";
/// The operator's value in place of a placed function's region; no function reads it.
pub(super) const PLACEMENT_REGION: &str = "PLACEMENT_REGION";
pub(super) const DEPLOYMENT_ID: &str = "DEPLOYMENT_ID";
/// The settings that a service can tell if they are not given.
pub(super) const ACCOUNT_ID: &str = "account_id";
pub(super) const SUPABASE_URL: &str = "SUPABASE_URL";
pub(super) const ANON_KEY: &str = "SUPABASE_ANON_KEY";
pub(super) const SERVICE_KEY: &str = "SUPABASE_SERVICE_ROLE_KEY";
pub(super) const JWT_SECRET: &str = "SUPABASE_JWT_SECRET";
pub(super) const REPLICATE_SECRET: &str = "REPLICATE_WEBHOOK_SECRET";
/// Those of them that functions read.
pub(crate) const FETCHED: [&str; 5] =
    [SUPABASE_URL, ANON_KEY, SERVICE_KEY, JWT_SECRET, REPLICATE_SECRET];
/// The function at the deployment's public address.
pub(super) const GATEWAY: &str = "gateway";

/// One deployment: all its settings, each value once.
#[derive(Clone, Default)]
pub struct Deployment {
    pub name: String,
    /// The prefix of the name of every Worker and queue.
    pub prefix: String,
    /// The id of the Cloudflare account.
    pub account_id: String,
    /// The e-mail address of the user whom `deploy` makes the first admin.
    pub admin_email: Option<String>,
    /// Every variable with its value, defaults included. `FUNCTIONS_URL` is absent until Cloudflare
    /// was asked, unless it is given.
    pub vars: BTreeMap<String, String>,
    /// Every secret setting that is given.
    pub secrets: BTreeMap<String, String>,
    pub access: Access,
    /// The settings that stand in neither file and were fetched.
    pub fetched: Vec<FetchedSetting>,
}

/// The name of a fetched setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchedSetting {
    pub name: &'static str,
    /// The source of the value, in words.
    pub from: &'static str,
}

/// The credentials that only the deploy itself needs.
#[derive(Clone, Default)]
pub struct Access {
    pub cloudflare_token: String,
    pub database_url: String,
    pub supabase_token: Option<String>,
}

/// The two files as read. Values that a service can tell may still be missing.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) file: OwnFile,
    pub(super) secrets: Secrets,
    pub(super) fetched: Vec<FetchedSetting>,
    functions: Vec<Function>,
    /// Faults of the files' form, and conflicts with other deployments' files.
    form: Vec<SettingFault>,
}

impl Draft {
    pub(super) fn read(dir: &Path, name: &str) -> Result<Self> {
        if name.is_empty() || !name.chars().all(checks::is_plain) {
            bail!("a deployment's name has small letters, digits and `-`, not {name:?}");
        }
        let (file, mut form) = OwnFile::read(dir, name)?;
        let (secrets, more) = Secrets::read(dir, name)?;
        form.extend(more.into_iter().chain(checks::siblings(dir, name, &file)));
        let (functions, fetched) = (function::all()?, Vec::new());
        let mut draft = Self { name: name.to_owned(), file, secrets, fetched, functions, form };
        let database = draft.secrets.values.get(DATABASE_URL);
        let project = database.and_then(|url| values::project_of_database(url));
        if let Some(project) = project.filter(|_| draft.lacks(SUPABASE_URL)) {
            let url = format!("https://{project}.supabase.co");
            draft.give(SUPABASE_URL, url, "follows from DATABASE_URL");
        }
        Ok(draft)
    }

    /// Whether a needed value, or the account, is not given.
    pub(super) fn lacks(&self, name: &str) -> bool {
        match name {
            ACCOUNT_ID => self.file.account_id.is_empty(),
            _ => checks::lacking(&self.file, &self.secrets, &self.functions).contains(name),
        }
    }

    /// The value of a variable, or its default.
    pub(super) fn var(&self, name: &str) -> Option<String> {
        let given = self.file.settings.get(name).filter(|value| !value.is_empty()).cloned();
        given.or_else(|| default_vars(&self.functions).remove(name))
    }

    /// Sets a value that was fetched.
    pub(super) fn give(&mut self, name: &'static str, value: String, from: &'static str) {
        let values = match name {
            ACCOUNT_ID => {
                self.file.account_id = value;
                return self.fetched.push(FetchedSetting { name, from });
            }
            SUPABASE_URL | ANON_KEY => &mut self.file.settings,
            _ => &mut self.secrets.values,
        };
        values.insert(name.to_owned(), value);
        self.fetched.push(FetchedSetting { name, from });
    }

    /// Fails if there is any fault. A missing value is no fault if it is in `to_come`.
    pub(super) fn check(&self, to_come: &BTreeSet<&str>) -> Result<()> {
        let mut faults = checks::file(&self.file, &self.secrets, &self.functions, to_come);
        // If the form of a value is wrong, its other faults are not reported.
        faults.retain(|fault| !self.form.iter().any(|other| fault.name() == other.name()));
        faults.extend(self.form.iter().cloned());
        if faults.is_empty() {
            return Ok(());
        }
        let list = faults.iter().map(|fault| format!("\n  - {fault}")).collect::<String>();
        let files = format!("deploy/{0}.toml and deploy/{0}.secrets", self.name);
        let (count, s) = (faults.len(), if faults.len() == 1 { "" } else { "s" });
        bail!("{files} have {count} fault{s}; nothing was changed:{list}")
    }

    pub(super) fn deployment(self) -> Result<Deployment> {
        self.check(&BTreeSet::new())?;
        let Self { name, file, secrets, fetched, functions, .. } = self;
        let mut vars = default_vars(&functions);
        // The default is only an example of an address, and the deployment's name replaces the
        // empty id.
        vars.remove(FUNCTIONS_URL);
        vars.insert(DEPLOYMENT_ID.to_owned(), name.clone());
        vars.extend(file.settings);
        let taken = |name: &str| secrets.values.get(name).cloned();
        Ok(Deployment {
            name,
            prefix: file.prefix,
            account_id: file.account_id,
            admin_email: file.admin_email,
            vars,
            access: Access {
                cloudflare_token: taken(CLOUDFLARE_TOKEN).unwrap_or_default(),
                database_url: taken(DATABASE_URL).unwrap_or_default(),
                supabase_token: taken(SUPABASE_TOKEN),
            },
            secrets: secrets.of_functions(),
            fetched,
        })
    }
}

impl Deployment {
    /// Reads and checks both files in `dir`, which must give all needed values. The error lists
    /// every fault.
    pub fn read(dir: &Path, name: &str) -> Result<Self> {
        Draft::read(dir, name)?.deployment()
    }

    /// The name of a function's Worker.
    pub fn worker(&self, function: &str) -> String {
        format!("{}{function}", self.prefix)
    }

    /// The name of the queue that a function consumes.
    pub fn queue(&self, function: &str) -> String {
        format!("{}{function}", self.prefix)
    }

    /// `https://…/`, without `functions/v1`.
    pub fn gateway_url(&self) -> Result<String> {
        let url = self.vars.get(FUNCTIONS_URL).context(
            "FUNCTIONS_URL is not given, and Cloudflare was not asked for the account's address",
        )?;
        let url = url.trim_end_matches('/');
        Ok(format!("{}/", url.strip_suffix("/functions/v1").unwrap_or(url)))
    }

    /// The variables of a function. A variable that nobody changed keeps the function's own value:
    /// `PROVIDER_OUTPUT_HOSTS` for example lists only the hosts of the function's own providers.
    pub fn vars_of(&self, function: &Function, functions: &[Function]) -> BTreeMap<String, String> {
        let defaults = default_vars(functions);
        let value = |(name, own): (&String, &String)| {
            let ours = self.vars.get(name);
            let changed = ours.filter(|value| defaults.get(name) != Some(*value));
            (name.clone(), changed.unwrap_or(own).clone())
        };
        function.vars.iter().map(value).collect()
    }

    /// Makes the missing ones of `MADE_SECRETS`, and returns their names.
    pub fn make_secrets(&mut self) -> Result<Vec<&'static str>> {
        let absent = |name: &&'static str| !self.secrets.contains_key(*name);
        let made: Vec<&str> = MADE_SECRETS.into_iter().filter(absent).collect();
        for name in &made {
            self.secrets.insert((*name).to_owned(), keys::random_hex(32)?);
        }
        Ok(made)
    }

    /// Writes the made secrets into the file, before anything is signed with them.
    pub fn keep_secrets(&self, dir: &Path, made: &[&str]) -> Result<()> {
        let values =
            made.iter().filter_map(|name| Some((*name, self.secrets.get(*name)?.as_str())));
        Secrets::add(dir, &self.name, &values.collect::<Vec<_>>())
    }

    /// The secrets that a function reads.
    pub fn secrets_of(&self, function: &Function) -> BTreeMap<String, String> {
        let names = function.secrets_required.iter().chain(&function.secrets_optional);
        names.filter_map(|name| Some((name.clone(), self.secrets.get(name)?.clone()))).collect()
    }
}

/// Every variable with the functions' starting values. If several functions have different values,
/// objects are merged and lists are joined.
pub(super) fn default_vars(functions: &[Function]) -> BTreeMap<String, String> {
    let mut vars = BTreeMap::<String, String>::new();
    for (name, value) in functions.iter().flat_map(|function| &function.vars) {
        let joined = vars.get(name).map(|known| joined(known, value));
        vars.insert(name.clone(), joined.unwrap_or_else(|| value.clone()));
    }
    vars
}

fn joined(one: &str, other: &str) -> String {
    type Object = serde_json::Map<String, serde_json::Value>;
    if one == other {
        return one.to_owned();
    }
    if let (Ok(mut one), Ok(other)) =
        (serde_json::from_str::<Object>(one), serde_json::from_str::<Object>(other))
    {
        one.extend(other);
        return serde_json::Value::Object(one).to_string();
    }
    let mut parts: Vec<&str> = one.split(',').chain(other.split(',')).collect();
    let mut seen = std::collections::BTreeSet::new();
    parts.retain(|part| !part.is_empty() && seen.insert(*part));
    parts.join(",")
}
