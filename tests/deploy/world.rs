//! An account at the stand-in of Cloudflare's API, and a folder with a deployment's two files.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::Value;
use stand_ins::cloudflare::{CloudAccount, CloudOptions};
use tempfile::TempDir;
use xtask::deploy::cloudflare::Cloudflare;
use xtask::deploy::deployment::Deployment;
use xtask::deploy::plan::CloudPlan;
use xtask::deploy::{Deed, rollback};
use xtask::function::{self, Function};

pub const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
/// The settings that an operator must look up.
pub const SETTINGS: [(&str, &str); 3] = [
    ("SUPABASE_URL", "https://abcdefghijklmnopqrst.supabase.co"),
    ("SUPABASE_ANON_KEY", "sb_publishable_of_the_project"),
    (
        "RUNNINGHUB_APPS",
        concat!(
            r#"{"runninghub-upscaler":{"standard":"2011","pro":"2012"},"#,
            r#""runninghub-veste-ai":{"standard":"2013"},"#,
            r#""runninghub-pose-changer":{"standard":"2014"},"#,
            r#""runninghub-video-upscaler":{"standard":"2015"}}"#,
        ),
    ),
];
pub const SECRETS: [(&str, &str); 8] = [
    ("CLOUDFLARE_API_TOKEN", "token-of-the-account"),
    (
        "DATABASE_URL",
        "postgresql://postgres:word@db.abcdefghijklmnopqrst.supabase.co:5432/postgres",
    ),
    ("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_of_the_project"),
    ("RUNNINGHUB_API_KEY", "key-of-runninghub"),
    ("REPLICATE_API_TOKEN", "token-of-replicate"),
    ("REPLICATE_WEBHOOK_SECRET", "whsec_of_replicate"),
    ("GEMINI_API_KEY", "key-of-gemini"),
    ("LLM_API_KEY", "key-of-the-model"),
];

/// The values of both files by name. `prefix`, `account_id` and `admin_email` are in the head of
/// the settings file.
#[derive(Clone)]
pub struct Values(Vec<(String, String)>);

impl Values {
    /// All values that a deployment needs: twelve with the account's id.
    pub fn needed() -> Self {
        let values = [("account_id", ACCOUNT)].into_iter().chain(SETTINGS).chain(SECRETS);
        Self(values.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }

    /// The texts of the settings file and of the secrets file.
    pub fn texts(&self) -> (String, String) {
        let (mut head, mut settings, mut secrets) =
            (String::new(), "[settings]\n".to_owned(), String::new());
        for (name, value) in &self.0 {
            let is_secret = SECRETS.iter().any(|(known, _)| known == name)
                || ["_KEY", "_KEY_2", "_SECRET", "_SECRETS", "_PREVIOUS", "_TOKEN"]
                    .iter()
                    .any(|end| name.ends_with(end) && name != "SUPABASE_ANON_KEY");
            let line = format!("{name} = {}\n", toml::Value::from(value.as_str()));
            match &**name {
                "account_id" | "prefix" | "admin_email" => head += &line,
                _ if is_secret => drop(writeln!(secrets, "{name}={value}")),
                _ => settings += &line,
            }
        }
        (head + &settings, secrets)
    }
}

/// A folder in place of `deploy/`.
pub struct Folder(pub TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    pub fn write(&self, name: &str, values: &Values) {
        let (settings, secrets) = values.texts();
        let path = |kind: &str| self.0.path().join(format!("{name}.{kind}"));
        std::fs::write(path("toml"), settings).expect("the settings");
        std::fs::write(path("secrets"), secrets).expect("the secrets");
    }

    pub fn read(&self, name: &str) -> Result<Deployment> {
        Deployment::read(self.0.path(), name)
    }
}

/// An account that the stand-in serves.
pub struct Cloud {
    pub account: CloudAccount,
    pub base: String,
    pub folder: Folder,
}

impl Cloud {
    pub async fn start() -> Self {
        let account = CloudAccount::new(CloudOptions {
            account_id: ACCOUNT.to_owned(),
            token: "token-of-the-account".to_owned(),
            subdomain: Some("somebody".to_owned()),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(stand_ins::serve::serve(listener, account.router()));
        let base = format!("http://{address}/client/v4");
        Self { account, base, folder: Folder::new() }
    }

    /// Does what `deploy` does at Cloudflare, beginning with the files. Returns what was changed.
    pub async fn deploy(&self, name: &str, functions: &[Function]) -> Result<Vec<String>> {
        let (cloud, deployment, plan) = self.plan(name, functions).await?;
        let done = plan.carry_out(&cloud, &deployment).await?;
        Ok(done.into_iter().map(|deed| deed.what).collect())
    }

    pub async fn plan(
        &self,
        name: &str,
        functions: &[Function],
    ) -> Result<(Cloudflare, Deployment, CloudPlan)> {
        let (cloud, mut deployment) = self.connect(name).await?;
        let made = deployment.make_secrets()?;
        let plan = CloudPlan::make(&cloud, &deployment, functions).await?;
        deployment.keep_secrets(self.folder.0.path(), &made)?;
        Ok((cloud, deployment, plan))
    }

    async fn connect(&self, name: &str) -> Result<(Cloudflare, Deployment)> {
        let mut deployment = self.folder.read(name)?;
        let cloud = Cloudflare::connect(&mut deployment, Some(self.base.clone())).await?;
        Ok((cloud, deployment))
    }

    pub async fn note_good(&self, name: &str, functions: &[Function]) -> Result<()> {
        let (cloud, deployment) = self.connect(name).await?;
        rollback::note_good(&cloud, &deployment, functions).await
    }

    pub async fn roll_back(&self, name: &str, functions: &[Function]) -> Result<Vec<Deed>> {
        let (cloud, deployment) = self.connect(name).await?;
        rollback::roll_back(&cloud, &deployment, functions).await
    }

    /// The variables and secrets of the version of a Worker that is in force.
    pub fn values(&self, worker: &str) -> Value {
        let view = self.account.view();
        let bindings = view["scripts"][worker]["live"]["bindings"].as_array().cloned();
        bindings
            .unwrap_or_default()
            .into_iter()
            .filter_map(|of| Some((of["name"].as_str()?.to_owned(), of.get("text")?.clone())))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// Three functions: one that others call, one with a queue and a cron, one with pages.
pub fn few() -> Vec<Function> {
    let names = ["placed-run", "process-generation-tasks-banana", "gateway"];
    let mut functions = function::all().expect("the functions");
    functions.retain(|function| names.contains(&&*function.name));
    for function in &mut functions {
        function.services.retain(|_, service| names.contains(&&**service));
    }
    functions
}
