//! The configuration file of the stand-ins. It is read once; nothing is taken from the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// Everything the stand-ins need to know about the stack they belong to.
#[derive(Clone, Debug, Deserialize)]
pub struct StandInConfig {
    /// Origin = base + 1, providers = base + 3, PostgREST = base + 4, functions = base + 5, results
    /// of providers = base + 7.
    pub port_base: u16,
    pub jwt_secret: String,
    pub anon_key: String,
    pub service_role_key: String,
    pub publishable_key: String,
    /// The project's new-style service key.
    #[serde(default)]
    pub secret_key: Option<String>,
    pub users: Vec<SeededUser>,
    /// A PKCS#8 P-256 key: user tokens are then signed ES256 and the key is published.
    #[serde(default)]
    pub es256_private_pem: Option<String>,
    pub storage_dir: PathBuf,
    /// The project's database, as `authenticator`: its buckets and policies are storage's.
    pub database_url: String,
    /// The same database as a role that may replicate and become any other: Realtime's.
    #[serde(default)]
    pub replication_url: Option<String>,
    #[serde(default)]
    pub realtime: RealtimeLimits,
    /// The project's limit for one file, whatever its bucket says.
    #[serde(default = "default_storage_bytes_max")]
    pub storage_bytes_max: u64,
    /// How long an upload in chunks may take.
    #[serde(default = "default_upload_lifetime_s")]
    pub upload_lifetime_s: u64,
    /// Apps at RunningHub that the account has, beside those of the examples.
    #[serde(default)]
    pub runninghub_apps: Vec<String>,
    /// Accepted keys by provider; a provider without an entry takes the stack's usual local key.
    #[serde(default)]
    pub provider_keys: BTreeMap<String, Vec<String>>,
    #[serde(default = "default_token_lifetime_s")]
    pub token_lifetime_s: u64,
    /// How long the link of a mail is good.
    #[serde(default = "default_mail_lifetime_s")]
    pub mail_lifetime_s: u64,
}

/// A user who can sign in with a password.
#[derive(Clone, Debug, Deserialize)]
pub struct SeededUser {
    pub id: String,
    pub email: String,
    pub password: String,
}

/// What a project's Realtime admits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct RealtimeLimits {
    pub sockets: usize,
    pub channels_per_socket: usize,
    pub joins_per_second: usize,
    pub messages_per_second: usize,
}

/// What a new project has (supabase/realtime, config/runtime.exs, `TENANT_MAX_…`).
impl Default for RealtimeLimits {
    fn default() -> Self {
        Self {
            sockets: 200,
            channels_per_socket: 100,
            joins_per_second: 100,
            messages_per_second: 100,
        }
    }
}

impl StandInConfig {
    /// The port of one process of the stack.
    pub fn port(&self, offset: u16) -> u16 {
        self.port_base.saturating_add(offset)
    }

    /// The address of one process of the stack, without a trailing slash.
    pub fn url(&self, offset: u16) -> String {
        format!("http://127.0.0.1:{}", self.port(offset))
    }
}

/// What docs/deploying.md asks for.
fn default_storage_bytes_max() -> u64 {
    512 * 1024 * 1024
}

/// Supabase's documentation, "Resumable Uploads": 24 hours.
fn default_upload_lifetime_s() -> u64 {
    24 * 3600
}

fn default_token_lifetime_s() -> u64 {
    3600
}

/// `GOTRUE_MAILER_OTP_EXP` of a new project.
fn default_mail_lifetime_s() -> u64 {
    3600
}
