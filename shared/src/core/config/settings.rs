//! Every setting, written once: from a row come the field of [`Config`], its parsing, its accessor,
//! the entry in [`GROUPS`]: run time, wrangler.toml and docs/configuration.md are made from it.
//!
//! A row reads `field: Form = "VARIABLE", kind, presence;` under the words for the documentation.
//!
//! * kind: `secret`, or `var("value")` with the value that wrangler.toml starts with
//! * presence: `required` (each call of a function that lists the group fails without it),
//!   `deployed` (a deploy insists on it, a call does without), `optional`, or `default(value)`
//! * `results_from "hosts"` after a group's name: where its provider's results are fetched from

use super::form::{
    BaseUrl, Flag, Form, Hosts, HourRange, Json, LlmKind, Number, SecretKeys, SecretList, Text,
    Variables,
};
use crate::core::error::ApiError;

/// Settings that functions read together; function.toml lists groups by their names.
#[derive(Debug)]
pub struct SettingGroup {
    pub name: &'static str,
    pub settings: &'static [Setting],
    #[cfg(not(target_arch = "wasm32"))]
    pub words: &'static str,
    /// The hosts that serve a provider's results, as in `PROVIDER_OUTPUT_HOSTS`.
    #[cfg(not(target_arch = "wasm32"))]
    pub results_from: Option<&'static str>,
}

/// One variable of a function's environment. A wasm file carries none of its documentation.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub presence: Presence,
    #[cfg(not(target_arch = "wasm32"))]
    pub words: &'static str,
    #[cfg(not(target_arch = "wasm32"))]
    pub form: &'static str,
    /// The value that wrangler.toml starts with; a secret has none.
    #[cfg(not(target_arch = "wasm32"))]
    pub example: Option<&'static str>,
}

/// What happens where a setting is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Every call of a function that needs the setting's group fails.
    Required,
    /// A deploy fails; a call works without it.
    Deployed,
    /// Nothing fails.
    Optional,
    /// Without it, the default in `settings!` below applies; wrangler.toml begins with the same.
    Default,
}

macro_rules! presence {
    (required) => {
        Presence::Required
    };
    (deployed) => {
        Presence::Deployed
    };
    (optional) => {
        Presence::Optional
    };
    (default) => {
        Presence::Default
    };
}

macro_rules! field_type {
    ($form:ident) => { Option<<$form as Form>::Value> };
    ($form:ident, $default:expr) => { <$form as Form>::Value };
}

macro_rules! parse {
    ($variables:ident, $field:expr, $form:ident, $name:literal) => {
        $variables.parse::<$form>($name, &mut $field)
    };
    ($variables:ident, $field:expr, $form:ident, $name:literal, $default:expr) => {
        $variables.parse_or::<$form>($name, &mut $field, $default.into())
    };
}

macro_rules! accessor {
    ($field:ident $form:ident $name:literal required) => {
        /// The setting, or an error that names its variable.
        pub fn $field(&self) -> Result<&<$form as Form>::Value, ApiError> {
            self.$field.as_ref().ok_or_else(|| ApiError::misconfigured($name))
        }
    };
    ($field:ident $form:ident $name:literal $presence:ident) => {};
}

#[cfg(not(target_arch = "wasm32"))]
macro_rules! text_or_none {
    () => {
        None
    };
    ($text:expr) => {
        Some($text)
    };
}

macro_rules! settings {
    ($(
        $(#[doc = $group_words:literal])+
        $group:literal $(results_from $results_from:literal)? {
            $(
                $(#[doc = $words:literal])+
                $field:ident: $form:ident = $name:literal, $kind:ident $(($example:literal))?,
                    $presence:ident $(($default:expr))?;
            )+
        }
    )+) => {
        /// All settings of the functions. A function sees only those that its environment declares,
        /// so a field may be `None`; its accessor then names the missing variable.
        #[derive(Clone, Default)]
        pub struct Config {
            $($(
                $(#[doc = $words])+
                pub $field: field_type!($form $(, $default)?),
            )+)+
        }

        impl Config {
            /// Parses every variable that `read` finds. Its texts are trimmed and never empty.
            pub(super) fn parse_all(
                read: &dyn Fn(&str) -> Option<String>,
            ) -> Result<Config, ApiError> {
                let mut config = Config::default();
                let mut variables = Variables { read, fault: None };
                $($(parse!(variables, config.$field, $form, $name $(, $default)?);)+)+
                match variables.fault {
                    Some(fault) => Err(fault),
                    None => Ok(config),
                }
            }

            $($(accessor!($field $form $name $presence);)+)+
        }

        /// All settings by group, in the order of docs/configuration.md.
        pub static GROUPS: &[SettingGroup] = &[$(
            SettingGroup {
                name: $group,
                settings: &[$(
                    Setting {
                        name: $name,
                        presence: presence!($presence),
                        #[cfg(not(target_arch = "wasm32"))]
                        words: concat!($($words),+),
                        #[cfg(not(target_arch = "wasm32"))]
                        form: <$form as Form>::WORDS,
                        #[cfg(not(target_arch = "wasm32"))]
                        example: text_or_none!($($example)?),
                    },
                )+],
                #[cfg(not(target_arch = "wasm32"))]
                words: concat!($($group_words),+),
                #[cfg(not(target_arch = "wasm32"))]
                results_from: text_or_none!($($results_from)?),
            },
        )+];
    };
}

settings! {
    /// The Supabase project that holds all state.
    "supabase" {
        /// The project's address.
        supabase_url: BaseUrl = "SUPABASE_URL", var("https://project.example.invalid"), required;
        /// The project's service key: the legacy service-role token or a `sb_secret_…` key.
        service_role_key: Text = "SUPABASE_SERVICE_ROLE_KEY", secret, required;
        /// Further secret keys, each accepted as the service's: `{"default": "sb_secret_…"}`.
        secret_keys: SecretKeys = "SUPABASE_SECRET_KEYS", secret, default([]);
        /// Which deployment this is. Where it is set, the database refuses every write unless it
        /// belongs to this deployment, or to none. It stands in the metadata of our payments, too:
        /// payments that name another deployment grant nothing here; where it is not set, the host
        /// of `SUPABASE_URL` stands for it.
        deployment_id: Text = "DEPLOYMENT_ID", var(""), optional;
    }

    /// What else the gateway's address serves.
    "pass-through" {
        /// Whether the gateway also serves the project's `/auth/v1`, `/rest/v1`, `/storage/v1` and
        /// `/realtime/v1`, so that an app needs no other address.
        project_pass_through: Flag = "PROJECT_PASS_THROUGH", var("true"), default(true);
    }

    /// What the pages, the studio and the admin's page, start from.
    "pages" {
        /// The project's public key: the anon key, or a `sb_publishable_…` key.
        supabase_anon_key: Text = "SUPABASE_ANON_KEY", var("sb_publishable_example"), required;
        /// Where a job's logs are read; `{jobId}` in it stands for the job's id.
        logs_url: Text = "LOGS_URL", var(""), optional;
    }

    /// How a user's token is checked. Without secret and keys, the project's keys are fetched.
    "tokens" {
        /// The project's public keys, as its JWKS document.
        jwks: Text = "SUPABASE_JWKS", var(""), optional;
        /// The issuer that every token must name.
        jwt_issuer: Text = "SUPABASE_JWT_ISSUER", var(""), optional;
        /// The HS256 secret of a project that still has one.
        jwt_secret: Text = "SUPABASE_JWT_SECRET", secret, optional;
    }

    /// Who may order.
    "orders" {
        /// Whether anonymous users may order.
        allow_anonymous_users: Flag = "ALLOW_ANONYMOUS_USERS", var("false"), default(false);
    }

    /// Where we are reached from outside.
    "address" {
        /// The public address of the functions.
        functions_url: BaseUrl = "FUNCTIONS_URL",
            var("https://gateway.example.invalid/functions/v1"), required;
    }

    /// What proves that a provider's call is meant for us.
    "webhooks" {
        /// Signs the address of each webhook.
        webhook_secret: Text = "WEBHOOK_SECRET", secret, required;
    }

    /// What else the receiver of webhooks accepts or insists on.
    "received-webhooks" {
        /// The secret before the present one: webhooks that were asked for with it stay valid.
        webhook_secret_previous: Text = "WEBHOOK_SECRET_PREVIOUS", secret, optional;
        /// Replicate's signing secret (`whsec_…`, from its `GET /webhooks/default/secret`). Where
        /// it is set, only signed webhooks of Replicate are taken.
        replicate_webhook_secret: Text = "REPLICATE_WEBHOOK_SECRET", secret, deployed;
    }

    /// Stripe, which sells packs of credits.
    "stripe" {
        /// Its address.
        stripe_base_url: BaseUrl = "STRIPE_BASE_URL", var("https://api.stripe.com"), required;
        /// A restricted key that may write checkout sessions and nothing else. Without it nobody
        /// can buy by `purchase-checkout`, and a payment without our metadata is known by its
        /// payment link alone.
        stripe_api_key: Text = "STRIPE_API_KEY", secret, optional;
    }

    /// Where a checkout leads.
    "checkout" {
        /// Hosts, beside our own pages, to which a buyer may return from the checkout.
        purchase_return_hosts: Hosts = "PURCHASE_RETURN_HOSTS", var(""), default([]);
    }

    /// Where credits are bought.
    "buying" {
        /// A page of yours that replaces our checkout.
        buy_url: Text = "BUY_URL", var(""), optional;
    }

    /// Which sellers' events grant credits.
    "received-purchases" {
        /// The signing secrets of your webhook endpoints at Stripe.
        purchase_stripe_secrets: SecretList = "PURCHASE_STRIPE_SECRETS", secret, default([]);
        /// The secrets of a seller that signs by Standard Webhooks (`whsec_…`, or plain text).
        purchase_generic_secrets: SecretList = "PURCHASE_GENERIC_SECRETS", secret, default([]);
        /// Whether only live events grant, and Stripe's test mode nothing.
        purchase_live: Flag = "PURCHASE_LIVE", var("false"), default(false);
    }

    /// Which files an order may name, beside the user's own uploads.
    "inputs" {
        /// Hosts whose URLs are taken as input.
        allowed_input_hosts: Hosts = "ALLOWED_INPUT_HOSTS", var(""), default([]);
    }

    /// Where results are fetched from.
    "outputs" {
        /// Hosts from which results are fetched.
        provider_output_hosts: Hosts = "PROVIDER_OUTPUT_HOSTS", var(""), default([]);
    }

    /// Where files are kept.
    "results" {
        /// The public storage bucket of what users upload.
        uploads_bucket: Text = "UPLOADS_BUCKET", var("uploads"), default("uploads");
        /// The public storage bucket of results.
        results_bucket: Text = "RESULTS_BUCKET", var("results"), default("results");
    }

    /// Who may start a scheduled function from outside.
    "schedule" {
        /// Starts scheduled functions from outside: a bearer token, or a password of any user name.
        cron_secret: Text = "CRON_SECRET", secret, optional;
    }

    /// Who is told what turned bad, and what is good again.
    "alerts" {
        /// Where alerts are posted: an incoming webhook of Slack or Discord, Telegram's
        /// `https://api.telegram.org/bot<token>/sendMessage?chat_id=<id>`, or an address of yours
        /// that takes JSON. Where it is not set, nobody is told.
        alert_webhook_url: Text = "ALERT_WEBHOOK_URL", secret, optional;
        /// In which hours (UTC) alerts wait: `22-7`.
        alert_quiet_hours: HourRange = "ALERT_QUIET_HOURS", var(""), optional;
        /// After how many minutes what is still bad is told once more. Where it is not set, once.
        alert_repeat_minutes: Number = "ALERT_REPEAT_MINUTES", var(""), optional;
    }

    /// The back end of the app, which is told how each job ended.
    "outgoing-webhooks" {
        /// Where the end of each job is posted, signed: a public https address, or nowhere.
        outgoing_webhook_url: Text = "OUTGOING_WEBHOOK_URL", var(""), optional;
        /// The secrets that sign it (`whsec_…`, or plain text); each signs.
        outgoing_webhook_secrets: SecretList = "OUTGOING_WEBHOOK_SECRETS", secret, default([]);
    }

    /// Who reads the metrics.
    "metrics" {
        /// The bearer token of whoever scrapes `/functions/v1/metrics`. Without it there are none.
        metrics_token: Text = "METRICS_TOKEN", secret, optional;
    }

    /// How much one run of a scheduled function does.
    "budget" {
        /// Subrequests of one run; at most what the platform's plan allows.
        subrequest_budget: Number = "SUBREQUEST_BUDGET", var("900"), optional;
    }

    /// RunningHub.
    "runninghub" results_from "runninghub.ai,runninghub.cn,xiaoyaoyou.com,rhart.ai,\
         rh-images-1252422369.cos.ap-beijing.myqcloud.com,\
         rh-hk-images-1252422369.cos.ap-hongkong.myqcloud.com,\
         rh-images-switch-1252422369.cos.ap-guangzhou.myqcloud.com" {
        /// The provider's address.
        runninghub_base_url: BaseUrl = "RUNNINGHUB_BASE_URL",
            var("https://www.runninghub.ai"), required;
        /// Our key there.
        runninghub_api_key: Text = "RUNNINGHUB_API_KEY", secret, required;
    }

    /// Which app at RunningHub a tool runs.
    "runninghub-apps" {
        /// Your own apps by tool and version: `{"<tool>": {"<version>": "<webappId>"}}`. An app
        /// whose nodes differ from the tool's is written `{"webappId": "…", "nodes": {"<field>":
        /// ["<nodeId>", "<fieldName>"] or null}}`. It may also name the node that writes the result
        /// (`"result": "<nodeId>"`) and say `"pick": "first"`; of several files the last counts.
        runninghub_apps: Json = "RUNNINGHUB_APPS", var("{}"), required;
    }

    /// Replicate.
    "replicate" results_from "replicate.delivery" {
        /// The provider's address, with its version.
        replicate_base_url: BaseUrl = "REPLICATE_BASE_URL",
            var("https://api.replicate.com/v1"), required;
        /// Our token there.
        replicate_api_token: Text = "REPLICATE_API_TOKEN", secret, required;
    }

    /// Which model at Replicate a try-on runs.
    "replicate-versions" {
        /// Models by garment category, `default` for the rest:
        /// `{"upper_body": "<owner>/<model>:<version>"}`. Where it is not set: IDM-VTON.
        replicate_versions: Json = "REPLICATE_VERSIONS", var(""), optional;
    }

    /// Gemini.
    "gemini" {
        /// The provider's address.
        gemini_base_url: BaseUrl = "GEMINI_BASE_URL",
            var("https://generativelanguage.googleapis.com"), required;
        /// Our key there.
        gemini_api_key: Text = "GEMINI_API_KEY", secret, required;
        /// A second key, tried once where the first has used up its quota.
        gemini_api_key_2: Text = "GEMINI_API_KEY_2", secret, optional;
    }

    /// Which model at Gemini makes the cards.
    "gemini-model" {
        /// An image model of yours. Gemini retires models; a retired one opens the circuit of cards
        /// (question 8 of operations.md). A model that opens no URLs is sent the
        /// pictures themselves, 4 MB in all. The ratios 1:4, 4:1, 1:8 and 8:1 are of
        /// `gemini-3.1-flash-image` alone.
        gemini_model: Text = "GEMINI_MODEL", var("gemini-3.1-flash-image"), required;
    }

    /// The text model that writes websites.
    "llm" {
        /// The API that the model speaks; `openai` is any API compatible with OpenAI's.
        llm_kind: LlmKind = "LLM_KIND", var("anthropic"), required;
        /// The model's address, with the API's version.
        llm_base_url: BaseUrl = "LLM_BASE_URL", var("https://api.anthropic.com/v1"), required;
        /// The model's name.
        llm_model: Text = "LLM_MODEL", var("claude-sonnet-5-5"), required;
        /// A model that is silent for this many milliseconds has stopped. Models that think say
        /// nothing for minutes.
        llm_stall_ms: Number = "LLM_STALL_MS", var("300000"), default(300_000_u32);
        /// The longest answer to ask for, in tokens. A model that allows less is asked for less.
        llm_max_tokens: Number = "LLM_MAX_TOKENS", var("32000"), default(32_000_u32);
        /// Our key there.
        llm_api_key: Text = "LLM_API_KEY", secret, required;
    }
}
