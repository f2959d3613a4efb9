//! Typed configuration: [`settings`] lists every setting, [`form`] parses their texts,
//! [`declaration`] finds the settings that a function needs in its function.toml, [`fingerprint`]
//! compares two values without showing them.
//!
//! Nothing here reads the environment: `Config::parse` gets a function that looks up a variable. An
//! empty value counts as a missing one, so that no empty secret can ever match anything.

mod declaration;
mod fingerprint;
mod form;
mod settings;

pub use declaration::{RequiredGroups, required};
pub use fingerprint::fingerprint;
pub use form::Form;
pub use settings::{Config, GROUPS, Presence, Setting, SettingGroup};

use crate::core::error::ApiError;
use crate::core::origin::split_origin;

/// Secret keys of the new kind are no tokens, so they are sent in `apikey` only.
const OPAQUE_KEY: &str = "sb_";

impl Config {
    /// Reads every variable once and checks that those in `required` are set.
    pub fn parse(
        lookup: impl Fn(&str) -> Option<String>,
        required: &[&str],
    ) -> Result<Config, ApiError> {
        let read = |name: &str| {
            lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        match required.iter().find(|name| read(name).is_none()) {
            Some(missing) => Err(ApiError::misconfigured(missing)),
            None => Config::parse_all(&read),
        }
    }

    /// The key that our own database calls use.
    pub fn service_key(&self) -> Result<&str, ApiError> {
        let key = self.service_role_key.as_ref().or(self.secret_keys.first());
        key.map_or_else(|| self.service_role_key(), Ok).map(String::as_str)
    }

    /// The headers that prove the service role to the database and to storage.
    pub fn service_headers(&self) -> Result<Vec<(String, String)>, ApiError> {
        let key = self.service_key()?;
        let mut headers = vec![("apikey".to_owned(), key.to_owned())];
        if !key.starts_with(OPAQUE_KEY) {
            headers.push(("authorization".to_owned(), format!("Bearer {key}")));
        }
        Ok(headers)
    }

    /// The name of this deployment in the metadata of our payments.
    pub fn deployment(&self) -> Result<String, ApiError> {
        match &self.deployment_id {
            Some(id) => Ok(id.clone()),
            None => self.project_host(),
        }
    }

    /// Every name under which this deployment may have sold. What was sold before `DEPLOYMENT_ID`
    /// was set, such as a subscription, names the project's host.
    pub fn deployments(&self) -> Result<Vec<String>, ApiError> {
        let host = self.project_host()?;
        Ok(self.deployment_id.iter().cloned().chain([host]).collect())
    }

    fn project_host(&self) -> Result<String, ApiError> {
        let host = split_origin(self.supabase_url()?).0.rsplit("//").next().unwrap_or_default();
        let name = host.rsplit('@').next().and_then(|host| host.split(':').next());
        let name = name.filter(|name| !name.is_empty());
        name.map(str::to_ascii_lowercase).ok_or_else(|| ApiError::misconfigured("SUPABASE_URL"))
    }

    /// Both secrets that may have signed a webhook's address, the present one first.
    pub fn webhook_secrets(&self) -> Result<Vec<&str>, ApiError> {
        let mut secrets = vec![self.webhook_secret()?.as_str()];
        secrets.extend(self.webhook_secret_previous.as_deref());
        Ok(secrets)
    }
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
        assert_eq!(config.llm_stall_ms, 300_000);
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

    #[test]
    fn a_deployment_has_its_own_name_or_that_of_its_project() {
        let url = ("SUPABASE_URL", "https://abc.supabase.co");
        assert_eq!(parse(&[url], &[]).unwrap().deployment().unwrap(), "abc.supabase.co");
        let named = parse(&[url, ("DEPLOYMENT_ID", "shop")], &[]).unwrap();
        assert_eq!(named.deployment().unwrap(), "shop");
        assert_eq!(named.deployments().unwrap(), ["shop", "abc.supabase.co"]);
        assert!(parse(&[], &[]).unwrap().deployment().is_err());
    }

    #[test]
    fn secrets_are_a_list_without_empty_entries() {
        let set = |text: &str| parse(&[("PURCHASE_STRIPE_SECRETS", text)], &[]).unwrap();
        assert_eq!(set("whsec_1, b ,,").purchase_stripe_secrets, ["whsec_1", "b"]);
        assert!(set(" , ").purchase_stripe_secrets.is_empty());
    }

    #[test]
    fn every_setting_and_group_is_written_once_and_explained() {
        let mut seen = std::collections::BTreeSet::new();
        for group in GROUPS {
            assert!(seen.insert(group.name), "{} twice", group.name);
            assert!(group.words.trim().ends_with('.'), "{}: words are a sentence", group.name);
            for setting in group.settings {
                assert!(seen.insert(setting.name), "{} twice", setting.name);
                assert!(setting.words.trim().ends_with('.'), "{}", setting.name);
            }
        }
    }

    #[test]
    fn what_wrangler_toml_starts_with_is_parsed_and_fits_the_defaults() {
        let settings = || GROUPS.iter().flat_map(|group| group.settings);
        let find = |name: &str| {
            let found = settings().find(|setting| setting.name == name);
            found.and_then(|setting| setting.example).map(str::to_owned)
        };
        let (set, unset) = (Config::parse(find, &[]).unwrap(), parse(&[], &[]).unwrap());
        assert_eq!(set.results_bucket, unset.results_bucket);
        assert_eq!(set.llm_stall_ms, unset.llm_stall_ms);
        assert_eq!(set.allow_anonymous_users, unset.allow_anonymous_users);
        assert_eq!(set.allowed_input_hosts, unset.allowed_input_hosts);
    }

    #[test]
    fn a_missing_setting_is_named_by_its_accessor() {
        let error = Config::default().runninghub_api_key().unwrap_err();
        assert_eq!(error.code, ErrorCode::Misconfigured);
        assert!(error.message.contains("RUNNINGHUB_API_KEY"), "{error}");
    }
}
