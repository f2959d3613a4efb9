//! Typed configuration.
//!
//! It never reads the environment: `parse` is given a way to look a variable up. An empty value
//! is the same as a missing one, so that no empty secret can ever match anything.

use serde_json::{Map, Value};

use crate::core::error::ApiError;

/// Secret keys of the new kind are no tokens and go into `apikey` only.
const OPAQUE_KEY: &str = "sb_";
const LLM_STALL_MS: u32 = 60_000;
const LLM_KINDS: &[&str] = &["openai", "anthropic"];

/// Everything the functions can be told. A function sees only what its environment declares, so
/// all of it is optional here and the accessors say which variable is missing.
#[derive(Clone, Default)]
pub struct Config {
    pub supabase_url: Option<String>,
    /// Public: what a browser identifies the project with.
    pub supabase_anon_key: Option<String>,
    pub service_role_key: Option<String>,
    /// The values of `SUPABASE_SECRET_KEYS`, the one named `default` first.
    pub secret_keys: Vec<String>,
    pub jwt_secret: Option<String>,
    pub jwks: Option<String>,
    pub jwt_issuer: Option<String>,
    pub cron_secret: Option<String>,
    pub functions_url: Option<String>,
    pub webhook_secret: Option<String>,
    pub webhook_secret_previous: Option<String>,
    pub allowed_input_hosts: Vec<String>,
    pub provider_output_hosts: Vec<String>,
    pub allow_anonymous_users: bool,
    pub results_bucket: String,
    pub subrequest_budget: Option<u32>,
    pub runninghub_base_url: Option<String>,
    pub runninghub_api_key: Option<String>,
    pub runninghub_apps: Option<Value>,
    pub replicate_base_url: Option<String>,
    pub replicate_api_token: Option<String>,
    pub replicate_webhook_secret: Option<String>,
    pub replicate_versions: Option<Value>,
    pub gemini_base_url: Option<String>,
    pub gemini_api_key: Option<String>,
    pub gemini_api_key_2: Option<String>,
    pub gemini_model: Option<String>,
    /// One of `LLM_KINDS`.
    pub llm_kind: Option<String>,
    pub llm_base_url: Option<String>,
    pub llm_api_key: Option<String>,
    pub llm_model: Option<String>,
    /// A stream that is silent for this long has stopped.
    pub llm_stall_ms: u32,
}

impl Config {
    /// Reads every variable once and checks that those in `required` are there.
    pub fn parse(
        lookup: impl Fn(&str) -> Option<String>,
        required: &[&str],
    ) -> Result<Config, ApiError> {
        let read = |name: &str| {
            lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        if let Some(missing) = required.iter().find(|name| read(name).is_none()) {
            return Err(ApiError::misconfigured(missing));
        }
        Ok(Config {
            supabase_url: read("SUPABASE_URL").map(without_slash),
            supabase_anon_key: read("SUPABASE_ANON_KEY"),
            service_role_key: read("SUPABASE_SERVICE_ROLE_KEY"),
            secret_keys: secret_keys(read("SUPABASE_SECRET_KEYS"))?,
            jwt_secret: read("SUPABASE_JWT_SECRET"),
            jwks: read("SUPABASE_JWKS"),
            jwt_issuer: read("SUPABASE_JWT_ISSUER"),
            cron_secret: read("CRON_SECRET"),
            functions_url: read("FUNCTIONS_URL").map(without_slash),
            webhook_secret: read("WEBHOOK_SECRET"),
            webhook_secret_previous: read("WEBHOOK_SECRET_PREVIOUS"),
            allowed_input_hosts: hosts("ALLOWED_INPUT_HOSTS", read("ALLOWED_INPUT_HOSTS"))?,
            provider_output_hosts: hosts("PROVIDER_OUTPUT_HOSTS", read("PROVIDER_OUTPUT_HOSTS"))?,
            allow_anonymous_users: flag("ALLOW_ANONYMOUS_USERS", read("ALLOW_ANONYMOUS_USERS"))?,
            results_bucket: read("RESULTS_BUCKET").unwrap_or_else(|| "results".to_owned()),
            subrequest_budget: number("SUBREQUEST_BUDGET", read("SUBREQUEST_BUDGET"))?,
            runninghub_base_url: read("RUNNINGHUB_BASE_URL").map(without_slash),
            runninghub_api_key: read("RUNNINGHUB_API_KEY"),
            runninghub_apps: json("RUNNINGHUB_APPS", read("RUNNINGHUB_APPS"))?,
            replicate_base_url: read("REPLICATE_BASE_URL").map(without_slash),
            replicate_api_token: read("REPLICATE_API_TOKEN"),
            replicate_webhook_secret: read("REPLICATE_WEBHOOK_SECRET"),
            replicate_versions: json("REPLICATE_VERSIONS", read("REPLICATE_VERSIONS"))?,
            gemini_base_url: read("GEMINI_BASE_URL").map(without_slash),
            gemini_api_key: read("GEMINI_API_KEY"),
            gemini_api_key_2: read("GEMINI_API_KEY_2"),
            gemini_model: read("GEMINI_MODEL"),
            llm_kind: one_of("LLM_KIND", read("LLM_KIND"), LLM_KINDS)?,
            llm_base_url: read("LLM_BASE_URL").map(without_slash),
            llm_api_key: read("LLM_API_KEY"),
            llm_model: read("LLM_MODEL"),
            llm_stall_ms: number("LLM_STALL_MS", read("LLM_STALL_MS"))?.unwrap_or(LLM_STALL_MS),
        })
    }

    pub fn supabase_url(&self) -> Result<&str, ApiError> {
        present(&self.supabase_url, "SUPABASE_URL")
    }

    pub fn supabase_anon_key(&self) -> Result<&str, ApiError> {
        present(&self.supabase_anon_key, "SUPABASE_ANON_KEY")
    }

    /// The key our own database calls use.
    pub fn service_key(&self) -> Result<&str, ApiError> {
        let key = self.service_role_key.as_ref().or(self.secret_keys.first());
        key.map(String::as_str).ok_or_else(|| ApiError::misconfigured("SUPABASE_SERVICE_ROLE_KEY"))
    }

    /// Proof of the service role, for the database and for storage.
    pub fn service_headers(&self) -> Result<Vec<(String, String)>, ApiError> {
        let key = self.service_key()?;
        let mut headers = vec![("apikey".to_owned(), key.to_owned())];
        if !key.starts_with(OPAQUE_KEY) {
            headers.push(("authorization".to_owned(), format!("Bearer {key}")));
        }
        Ok(headers)
    }

    pub fn functions_url(&self) -> Result<&str, ApiError> {
        present(&self.functions_url, "FUNCTIONS_URL")
    }

    pub fn webhook_secret(&self) -> Result<&str, ApiError> {
        present(&self.webhook_secret, "WEBHOOK_SECRET")
    }

    /// Both secrets a webhook token may have been made with.
    pub fn webhook_secrets(&self) -> Result<Vec<&str>, ApiError> {
        let mut secrets = vec![self.webhook_secret()?];
        secrets.extend(self.webhook_secret_previous.as_deref());
        Ok(secrets)
    }

    pub fn runninghub_base_url(&self) -> Result<&str, ApiError> {
        present(&self.runninghub_base_url, "RUNNINGHUB_BASE_URL")
    }

    pub fn runninghub_api_key(&self) -> Result<&str, ApiError> {
        present(&self.runninghub_api_key, "RUNNINGHUB_API_KEY")
    }

    pub fn gemini_base_url(&self) -> Result<&str, ApiError> {
        present(&self.gemini_base_url, "GEMINI_BASE_URL")
    }

    pub fn gemini_model(&self) -> Result<&str, ApiError> {
        present(&self.gemini_model, "GEMINI_MODEL")
    }

    pub fn gemini_api_key(&self) -> Result<&str, ApiError> {
        present(&self.gemini_api_key, "GEMINI_API_KEY")
    }

    pub fn runninghub_apps(&self) -> Result<&Value, ApiError> {
        self.runninghub_apps.as_ref().ok_or_else(|| ApiError::misconfigured("RUNNINGHUB_APPS"))
    }

    pub fn replicate_base_url(&self) -> Result<&str, ApiError> {
        present(&self.replicate_base_url, "REPLICATE_BASE_URL")
    }

    pub fn replicate_api_token(&self) -> Result<&str, ApiError> {
        present(&self.replicate_api_token, "REPLICATE_API_TOKEN")
    }

    pub fn llm_kind(&self) -> Result<&str, ApiError> {
        present(&self.llm_kind, "LLM_KIND")
    }

    pub fn llm_base_url(&self) -> Result<&str, ApiError> {
        present(&self.llm_base_url, "LLM_BASE_URL")
    }

    pub fn llm_api_key(&self) -> Result<&str, ApiError> {
        present(&self.llm_api_key, "LLM_API_KEY")
    }

    pub fn llm_model(&self) -> Result<&str, ApiError> {
        present(&self.llm_model, "LLM_MODEL")
    }
}

fn present<'a>(value: &'a Option<String>, name: &str) -> Result<&'a str, ApiError> {
    value.as_deref().ok_or_else(|| ApiError::misconfigured(name))
}

fn without_slash(url: String) -> String {
    url.trim_end_matches('/').to_owned()
}

/// Host names, each meant with everything below it. Dots alone name nothing and are left out: as a
/// suffix they would allow every host. What can be no host (a URL, a pattern) was meant otherwise.
fn hosts(name: &str, list: Option<String>) -> Result<Vec<String>, ApiError> {
    let list = list.unwrap_or_default();
    let entries = list.split(|c: char| c == ',' || c.is_whitespace());
    let entries = entries
        .map(|host| host.trim_end_matches('.').to_ascii_lowercase())
        .filter(|host| !host.is_empty());
    let is_host =
        |host: &String| host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b));
    let entries: Vec<String> = entries.collect();
    if entries.iter().all(is_host) { Ok(entries) } else { Err(ApiError::misconfigured(name)) }
}

fn flag(name: &str, value: Option<String>) -> Result<bool, ApiError> {
    match value.map(|value| value.to_ascii_lowercase()).as_deref() {
        None | Some("false" | "0" | "no" | "off") => Ok(false),
        Some("true" | "1" | "yes" | "on") => Ok(true),
        Some(_) => Err(ApiError::misconfigured(name)),
    }
}

fn number(name: &str, value: Option<String>) -> Result<Option<u32>, ApiError> {
    value.map(|value| value.parse().map_err(|_| ApiError::misconfigured(name))).transpose()
}

fn json(name: &str, value: Option<String>) -> Result<Option<Value>, ApiError> {
    value
        .map(|value| serde_json::from_str(&value).map_err(|_| ApiError::misconfigured(name)))
        .transpose()
}

fn one_of(name: &str, value: Option<String>, known: &[&str]) -> Result<Option<String>, ApiError> {
    match value {
        Some(value) if !known.contains(&value.as_str()) => Err(ApiError::misconfigured(name)),
        value => Ok(value),
    }
}

fn secret_keys(value: Option<String>) -> Result<Vec<String>, ApiError> {
    let Some(text) = value else { return Ok(Vec::new()) };
    let misconfigured = || ApiError::misconfigured("SUPABASE_SECRET_KEYS");
    let mut named: Map<String, Value> = serde_json::from_str(&text).map_err(|_| misconfigured())?;
    let first = named.remove("default");
    let mut keys = Vec::new();
    for key in first.into_iter().chain(named.into_iter().map(|(_, key)| key)) {
        match key {
            Value::String(key) if key.trim().is_empty() => {}
            Value::String(key) => keys.push(key.trim().to_owned()),
            _ => return Err(misconfigured()),
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::error::ErrorCode;

    fn parse(vars: &[(&str, &str)], required: &[&str]) -> Result<Config, ApiError> {
        let find = |name: &str| {
            vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Config::parse(find, required)
    }

    #[test]
    fn an_empty_value_is_a_missing_one() {
        let config =
            parse(&[("CRON_SECRET", " "), ("SUPABASE_SECRET_KEYS", "{\"a\":\"\"}")], &[]).unwrap();
        assert_eq!(config.cron_secret, None);
        assert!(config.secret_keys.is_empty());
        assert_eq!(config.llm_stall_ms, 60_000);
        let error = parse(&[("SUPABASE_URL", "")], &["SUPABASE_URL"]).err().unwrap();
        assert_eq!(error.code, ErrorCode::Misconfigured);
        assert!(error.message.contains("SUPABASE_URL"));
    }

    #[test]
    fn a_malformed_value_names_the_variable_and_not_the_value() {
        for (name, value) in [
            ("SUPABASE_SECRET_KEYS", "sb_secret_bare"),
            ("SUPABASE_SECRET_KEYS", "{\"default\":7}"),
            ("RUNNINGHUB_APPS", "{half"),
            ("SUBREQUEST_BUDGET", "many"),
            ("LLM_STALL_MS", "a minute"),
            ("LLM_KIND", "some-model"),
            ("ALLOW_ANONYMOUS_USERS", "perhaps"),
            ("ALLOWED_INPUT_HOSTS", "*"),
            ("ALLOWED_INPUT_HOSTS", "*."),
            ("ALLOWED_INPUT_HOSTS", "a.example,*.b.example"),
            ("PROVIDER_OUTPUT_HOSTS", "https://cdn.example"),
            ("PROVIDER_OUTPUT_HOSTS", "cdn.example/files"),
        ] {
            let error = parse(&[(name, value)], &[]).err().unwrap();
            assert!(error.message.contains(name) && !error.message.contains(value), "{error}");
        }
    }

    #[test]
    fn dots_alone_name_no_host() {
        for value in [".", "..", "...", " ", ",", ". , ..", "\t.\n", ".,"] {
            let config =
                parse(&[("ALLOWED_INPUT_HOSTS", value), ("PROVIDER_OUTPUT_HOSTS", value)], &[])
                    .unwrap();
            assert!(
                config.allowed_input_hosts.is_empty(),
                "{value:?}: {:?}",
                config.allowed_input_hosts
            );
            assert!(
                config.provider_output_hosts.is_empty(),
                "{value:?}: {:?}",
                config.provider_output_hosts
            );
        }
        let config =
            parse(&[("ALLOWED_INPUT_HOSTS", "., a.example. ,[::1]:8080 127.0.0.1:1")], &[])
                .unwrap();
        assert_eq!(config.allowed_input_hosts, ["a.example", "[::1]:8080", "127.0.0.1:1"]);
    }

    #[test]
    fn lists_urls_and_keys_are_normalised() {
        let config = parse(
            &[
                ("SUPABASE_URL", "http://127.0.0.1:54321/"),
                ("ALLOWED_INPUT_HOSTS", "A.example, .cdn.example"),
                ("SUPABASE_SECRET_KEYS", "{\"a\":\"sb_secret_2\",\"default\":\"sb_secret_1\"}"),
            ],
            &["SUPABASE_URL"],
        )
        .unwrap();
        assert_eq!(config.supabase_url().unwrap(), "http://127.0.0.1:54321");
        assert_eq!(config.allowed_input_hosts, ["a.example", ".cdn.example"]);
        assert_eq!(config.secret_keys, ["sb_secret_1", "sb_secret_2"]);
        assert_eq!(config.service_key().unwrap(), "sb_secret_1");
        assert_eq!(config.results_bucket, "results");
        assert!(config.webhook_secret().is_err());
    }
}
