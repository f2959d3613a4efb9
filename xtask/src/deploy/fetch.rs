//! Fetches settings that are not given from the services that know them: the account of the token
//! from Cloudflare, the project's keys from Supabase's Management API, the secret that signs
//! webhooks from Replicate. A given value takes precedence. Fetched values are not stored, so that
//! each deploy uses the current ones.
//!
//! Sources: Cloudflare's API reference, "List Accounts"; the Management API's OpenAPI document,
//! `/v1/projects/{ref}/api-keys` and `/config/auth/signing-keys`; Replicate's HTTP API,
//! `webhooks.default.secret.get`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

use super::cloudflare::{API, API_VARIABLE};
use super::deployment::{
    ACCOUNT_ID, ANON_KEY, CLOUDFLARE_TOKEN, DATABASE_URL, Deployment, Draft, JWT_SECRET,
    REPLICATE_SECRET, SERVICE_KEY, SUPABASE_TOKEN, SUPABASE_URL,
};
use super::project::management::{self, Management};
use super::values;
use crate::command::say;

const REPLICATE_TOKEN: &str = "REPLICATE_API_TOKEN";
const REPLICATE_URL: &str = "REPLICATE_BASE_URL";
const OF_MANAGEMENT: &str = "fetched from Supabase's Management API";
/// The number of accounts on the one page that is read.
const ACCOUNTS: usize = 50;

/// The addresses of the services.
#[derive(Clone, Debug)]
pub struct ServiceAddresses {
    pub cloudflare: String,
    pub supabase: String,
    /// Replicate's address, if it is not that of the settings.
    pub replicate: Option<String>,
}

impl Default for ServiceAddresses {
    fn default() -> Self {
        Self {
            cloudflare: std::env::var(API_VARIABLE).unwrap_or_else(|_| API.to_owned()),
            supabase: management::address(),
            replicate: None,
        }
    }
}

impl Deployment {
    /// Reads and checks both files in `dir`, and fetches what is missing.
    pub async fn complete(dir: &Path, name: &str, services: &ServiceAddresses) -> Result<Self> {
        let mut draft = Draft::read(dir, name)?;
        let to_come = draft.to_come();
        draft.check(&to_come)?;
        if to_come.contains(ACCOUNT_ID) {
            draft.fetch_account(&services.cloudflare).await.with_context(|| {
                format!("{ACCOUNT_ID}: not found; write it into {name}.toml, above [settings]")
            })?;
        }
        draft.fetch_from_project(&services.supabase, &to_come).await?;
        if to_come.contains(REPLICATE_SECRET) {
            draft.fetch_webhook_secret(services).await.with_context(|| {
                format!("{REPLICATE_SECRET}: not fetched; write it into {name}.secrets")
            })?;
        }
        draft.deployment()
    }
}

impl Draft {
    /// The missing settings that will be fetched.
    fn to_come(&self) -> BTreeSet<&'static str> {
        let has = |name: &str| self.secrets.values.contains_key(name);
        // If the database's address is a placeholder, only that is reported, and not also the
        // values that would follow from it.
        let is_faulty = values::placeholder(self.secret(DATABASE_URL)).is_some();
        let of_project = has(SUPABASE_TOKEN) && (is_faulty || self.project().is_some());
        [
            (ACCOUNT_ID, has(CLOUDFLARE_TOKEN)),
            (SUPABASE_URL, is_faulty),
            (ANON_KEY, of_project),
            (SERVICE_KEY, of_project),
            (REPLICATE_SECRET, has(REPLICATE_TOKEN)),
        ]
        .into_iter()
        .filter(|(name, can)| *can && self.lacks(name))
        .map(|(name, _)| name)
        .collect()
    }

    /// The Supabase project in the given addresses.
    fn project(&self) -> Option<String> {
        let of_url = self.var(SUPABASE_URL).and_then(|url| values::project_of(&url));
        of_url.or_else(|| values::project_of_database(self.secrets.values.get(DATABASE_URL)?))
    }

    fn secret(&self, name: &str) -> &str {
        self.secrets.values.get(name).map_or("", String::as_str)
    }

    async fn fetch_account(&mut self, address: &str) -> Result<()> {
        #[derive(Deserialize)]
        struct Accounts {
            result: Vec<Account>,
        }
        #[derive(Deserialize)]
        struct Account {
            id: String,
            name: String,
        }
        let url = format!("{}/accounts?per_page={ACCOUNTS}", address.trim_end_matches('/'));
        let found: Accounts = get(&url, self.secret(CLOUDFLARE_TOKEN), CLOUDFLARE_TOKEN).await?;
        match &*found.result {
            [] => bail!("the token of {CLOUDFLARE_TOKEN} shows no account"),
            [account] => {
                let id = account.id.clone();
                self.give(ACCOUNT_ID, id, "fetched from Cloudflare, the account of its token");
                Ok(())
            }
            several => {
                let line = |account: &Account| format!("\n  {}  {}", account.id, account.name);
                let list: String = several.iter().map(line).collect();
                bail!("the token of {CLOUDFLARE_TOKEN} is good for several accounts:{list}")
            }
        }
    }

    async fn fetch_webhook_secret(&mut self, services: &ServiceAddresses) -> Result<()> {
        #[derive(Deserialize)]
        struct Secret {
            key: String,
        }
        let base = services.replicate.clone().or_else(|| self.var(REPLICATE_URL));
        let base = base.unwrap_or_default();
        let url = format!("{}/webhooks/default/secret", base.trim_end_matches('/'));
        let found: Secret = get(&url, self.secret(REPLICATE_TOKEN), REPLICATE_TOKEN).await?;
        self.give(REPLICATE_SECRET, found.key, "fetched from Replicate");
        Ok(())
    }

    /// Fetches the project's keys, and the secret that signs its tokens if it still has one.
    async fn fetch_from_project(
        &mut self,
        address: &str,
        to_come: &BTreeSet<&'static str>,
    ) -> Result<()> {
        let token = self.secret(SUPABASE_TOKEN).to_owned();
        let Some(project) = self.project().filter(|_| !token.is_empty()) else {
            return Ok(());
        };
        let management = Management::new(address, &project, token);
        if to_come.contains(ANON_KEY) || to_come.contains(SERVICE_KEY) {
            let cure = "write the keys into the files (Project Settings, API Keys)";
            let fault = || format!("{ANON_KEY}, {SERVICE_KEY}: not fetched; {cure}");
            let keys = management.keys().await.with_context(fault)?;
            for (name, kind, role) in
                [(ANON_KEY, "publishable", "anon"), (SERVICE_KEY, "secret", "service_role")]
            {
                if to_come.contains(name) {
                    let key = chosen(&keys, kind, role).with_context(|| {
                        format!("{name}: not fetched; write it (Project Settings, API Keys)")
                    })?;
                    self.give(name, key, OF_MANAGEMENT);
                }
            }
        }
        let is_told = self.secrets.values.contains_key(JWT_SECRET)
            || self.file.settings.contains_key("SUPABASE_JWKS");
        if is_told {
            return Ok(());
        }
        match management.legacy_secret().await {
            Ok(Some(secret)) => self.give(JWT_SECRET, secret, OF_MANAGEMENT),
            Ok(None) => {}
            // Most projects do not need the secret, and `doctor` finds out whether this one does.
            Err(error) => say(format_args!(
                "{JWT_SECRET}: not fetched: {error:#}; where the project still signs by it, write \
                 it (Project Settings, JWT Keys, Legacy JWT Secret)"
            )),
        }
        Ok(())
    }
}

/// One key in the answer of `GET /v1/projects/<ref>/api-keys`.
#[derive(Clone, Deserialize)]
pub(super) struct ProjectKey {
    name: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    api_key: Option<String>,
}

/// The project's key of the new kind; of several, the one named `default`. Without one, the legacy
/// key of the role.
fn chosen(keys: &[ProjectKey], kind: &'static str, role: &str) -> Result<String> {
    let of_kind = |wanted: &'static str| {
        keys.iter().filter(move |key| key.kind.as_deref().unwrap_or("legacy") == wanted)
    };
    let new: Vec<&ProjectKey> = of_kind(kind).collect();
    let key = match &*new {
        [] => of_kind("legacy").find(|key| key.name == role),
        [only] => Some(*only),
        several => several.iter().copied().find(|key| key.name == "default"),
    };
    let key = key.with_context(|| match &*new {
        [] => format!("the project has neither a {kind} key nor a legacy one of {role}"),
        _ => format!("of {} {kind} keys none is called default", new.len()),
    })?;
    let whole = key.api_key.clone().filter(|key| !key.is_empty() && key.is_ascii());
    whole.ok_or_else(|| anyhow!("the token of {SUPABASE_TOKEN} may not reveal the key"))
}

/// The answer to one call. No error shows the token.
async fn get<T: serde::de::DeserializeOwned>(url: &str, token: &str, name: &str) -> Result<T> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let answer = client.get(url).bearer_auth(token).send().await?;
    let status = answer.status();
    if [401, 403].contains(&status.as_u16()) {
        bail!("GET {url}: {name} is refused ({status})");
    }
    if !status.is_success() {
        bail!("GET {url}: {status}");
    }
    answer.json().await.with_context(|| format!("GET {url}: an answer of another form"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ProjectKey, chosen};

    #[test]
    fn the_newer_kind_of_key_is_chosen_and_only_one_that_is_whole() {
        let legacy = json!({"name": "anon", "type": "legacy", "api_key": "ey.a.b"});
        let key =
            |name: &str, key: &str| json!({"name": name, "type": "publishable", "api_key": key});
        let [one, two] = [key("web", "sb_publishable_1"), key("default", "sb_publishable_2")];
        for (keys, expected) in [
            (json!([legacy]), Some("ey.a.b")),
            (json!([{"name": "anon", "api_key": "ey.a.b"}]), Some("ey.a.b")),
            (json!([legacy, one]), Some("sb_publishable_1")),
            (json!([one, two, legacy]), Some("sb_publishable_2")),
            (json!([one, key("app", "sb_publishable_3"), legacy]), None),
            (json!([key("default", "sb_publishable_ab··")]), None),
            (json!([{"name": "default", "type": "publishable", "api_key": null}]), None),
            (json!([]), None),
        ] {
            let keys: Vec<ProjectKey> = serde_json::from_value(keys.clone()).unwrap();
            let found = chosen(&keys, "publishable", "anon").ok();
            assert_eq!(found.as_deref(), expected);
        }
    }
}
