//! The configuration file of the stand-ins. It is read once; no environment variable is read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// All that the stand-ins need to know of their stack.
#[derive(Clone, Debug, Deserialize)]
pub struct StandInConfig {
    /// The first of the stack's ports: origin = base + 1, providers = base + 3, PostgREST = base +
    /// 4, functions = base + 5, results of providers = base + 7.
    pub port_base: u16,
    pub jwt_secret: String,
    pub anon_key: String,
    pub service_role_key: String,
    pub publishable_key: String,
    /// The project's new-style service key.
    #[serde(default)]
    pub secret_key: Option<String>,
    pub users: Vec<SeededUser>,
    /// A P-256 key in PKCS#8. With it, user tokens are signed with ES256 and the key is published.
    #[serde(default)]
    pub es256_private_pem: Option<String>,
    pub storage_dir: PathBuf,
    /// The project's database as `authenticator`, for the buckets and policies of storage.
    pub database_url: String,
    /// The same database as a role that may replicate and become every other role, for Realtime.
    #[serde(default)]
    pub replication_url: Option<String>,
    #[serde(default)]
    pub realtime: RealtimeLimits,
    /// The project's limit for one file, which no bucket exceeds.
    #[serde(default = "default_storage_bytes_max")]
    pub storage_bytes_max: u64,
    /// How long an upload in chunks may take, in seconds.
    #[serde(default = "default_upload_lifetime_s")]
    pub upload_lifetime_s: u64,
    /// Further apps of the account at RunningHub, besides those of the examples.
    #[serde(default)]
    pub runninghub_apps: Vec<String>,
    /// The accepted keys of each provider; a provider without an entry accepts the usual local key.
    #[serde(default)]
    pub provider_keys: BTreeMap<String, Vec<String>>,
    #[serde(default = "default_token_lifetime_s")]
    pub token_lifetime_s: u64,
    /// How long the link of a mail is valid, in seconds.
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

/// The limits of a project's Realtime.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct RealtimeLimits {
    pub sockets: usize,
    pub channels_per_socket: usize,
    pub joins_per_second: usize,
    pub messages_per_second: usize,
}

/// The limits of a new project (supabase/realtime, config/runtime.exs, `TENANT_MAX_…`).
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

/// The limit that docs/deploying.md demands.
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

/// The default of `GOTRUE_MAILER_OTP_EXP`.
fn default_mail_lifetime_s() -> u64 {
    3600
}
