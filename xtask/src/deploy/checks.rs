//! The faults of a deployment's settings: missing, of a wrong form, a placeholder, a contradiction.
//! No fault shows a secret's value.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use shared::core::config::{Config, GROUPS, Setting};

use super::deployment::{
    CLOUDFLARE_TOKEN, DATABASE_URL, DEPLOYMENT_ID, DERIVED, FUNCTIONS_URL, MADE_SECRETS,
    PLACEMENT_REGION, SUPABASE_TOKEN,
};
use super::files::{OwnFile, Secrets};
use crate::function::Function;

/// Cloudflare's longest name of a Worker that has an address on workers.dev, and of a queue.
const NAME_LENGTH: usize = 63;
/// Cloudflare's longest value of a variable.
const VALUE_LENGTH: usize = 5 * 1024;
const SECRET_LENGTH: usize = 24;

/// Whether a character may stand in the name of a Worker and of a queue.
pub(super) fn is_plain(letter: char) -> bool {
    letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-'
}

fn is_id(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || ".-_".contains(letter)
}

/// Every fault of the two files.
pub(super) fn file(
    file: &OwnFile,
    secrets: &Secrets,
    functions: &[Function],
    defaults: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut faults = names(file, functions);
    faults.extend(unknown(file, secrets));
    faults.extend(missing(file, secrets, functions, defaults));
    let written = file.settings.iter().chain(&secrets.values);
    for (name, value) in written.filter(|(_, value)| !value.is_empty()) {
        faults.extend(wrong(name, value).map(|fault| format!("{name}: {fault}")));
    }
    faults.extend(contradictions(file, secrets));
    faults
}

/// Another deployment in the same account with the same prefix has the same Workers.
pub(super) fn siblings(dir: &Path, name: &str, file: &OwnFile) -> Vec<String> {
    let Ok(entries) = dir.read_dir() else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let other = entry.file_name().to_string_lossy().strip_suffix(".toml")?.to_owned();
            (other != name && other != "example").then_some(other)
        })
        .collect();
    names.sort();
    names.retain(|other| {
        OwnFile::read(dir, other).is_ok_and(|(other, _)| {
            other.account_id == file.account_id && other.prefix == file.prefix
        })
    });
    let fault = |other: String| {
        format!("prefix: the deployment {other} has the same one in the same account")
    };
    names.into_iter().map(fault).collect()
}

fn names(file: &OwnFile, functions: &[Function]) -> Vec<String> {
    let mut faults = Vec::new();
    let id = &file.account_id;
    if id.is_empty() {
        faults.push("account_id: missing; the dashboard of Workers shows it".to_owned());
    } else if let Some(fault) = placeholder(id) {
        faults.push(format!("account_id: {fault}"));
    } else if id.len() != 32 || !id.chars().all(|letter| letter.is_ascii_hexdigit()) {
        faults.push("account_id: is not 32 hexadecimal digits".to_owned());
    }
    let longest = functions.iter().map(|function| function.name.len()).max().unwrap_or_default();
    if !file.prefix.chars().all(is_plain) || file.prefix.starts_with('-') {
        faults.push("prefix: has small letters, digits and `-`, and starts with no `-`".to_owned());
    } else if file.prefix.len() + longest > NAME_LENGTH {
        faults.push(format!("prefix: is longer than {} letters", NAME_LENGTH - longest));
    }
    let email = file.admin_email.as_deref();
    if let Some(fault) = email.and_then(placeholder) {
        faults.push(format!("admin_email: {fault}"));
    } else if email.is_some_and(|email| !email.contains('@') || email.contains(' ')) {
        faults.push("admin_email: is no address".to_owned());
    }
    faults
}

fn find(name: &str) -> Option<&'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings).find(|setting| setting.name == name)
}

/// Names that mean nothing, and settings in the wrong file.
fn unknown(file: &OwnFile, secrets: &Secrets) -> Vec<String> {
    let mut faults = Vec::new();
    for name in file.settings.keys().filter(|name| *name != PLACEMENT_REGION) {
        match find(name).map(|setting| setting.example.is_some()) {
            Some(true) => {}
            Some(false) => faults.push(format!("{name}: is a secret; it belongs into the secrets")),
            None if is_of_deploying(name) => {
                faults.push(format!("{name}: is a secret; it belongs into the secrets"));
            }
            None => faults.push(format!("{name}: no function reads it{}", near(name))),
        }
    }
    for name in secrets.values.keys().filter(|name| !is_of_deploying(name)) {
        match find(name).map(|setting| setting.example.is_some()) {
            Some(false) => {}
            Some(true) => faults.push(format!("{name}: is no secret; it belongs under [settings]")),
            None => faults.push(format!("{name}: no function reads it{}", near(name))),
        }
    }
    faults
}

fn is_of_deploying(name: &str) -> bool {
    [CLOUDFLARE_TOKEN, DATABASE_URL, SUPABASE_TOKEN].contains(&name)
}

/// A setting that has all but a few letters of the name.
fn near(name: &str) -> String {
    let letters = |name: &str| name.chars().collect::<BTreeSet<_>>();
    let settings = GROUPS.iter().flat_map(|group| group.settings).map(|setting| setting.name);
    let close = settings.filter(|known| {
        let same = known.len().abs_diff(name.len()) <= 2;
        same && letters(known).symmetric_difference(&letters(name)).count() <= 2
    });
    let close: Vec<&str> = close.collect();
    match close.first() {
        Some(known) => format!("; is {known} meant?"),
        None => String::new(),
    }
}

fn missing(
    file: &OwnFile,
    secrets: &Secrets,
    functions: &[Function],
    defaults: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut names: BTreeSet<&str> =
        functions.iter().flat_map(|function| &function.secrets_required).map(|s| &**s).collect();
    names.extend([CLOUDFLARE_TOKEN, DATABASE_URL]);
    names.retain(|name| !MADE_SECRETS.contains(name) && !secrets.values.contains_key(*name));
    let mut faults: Vec<String> = names.into_iter().map(lacking).collect();
    for (name, value) in defaults {
        let given = file.settings.get(name).is_some_and(|value| !value.is_empty());
        let derived = DERIVED.contains(&name.as_str());
        if !given && !derived && placeholder(value).is_some() {
            faults.push(lacking(name));
        }
    }
    faults
}

fn lacking(name: &str) -> String {
    let words = match name {
        CLOUDFLARE_TOKEN => "a token of Cloudflare that may edit Workers and queues",
        DATABASE_URL => "the connection string of the project's database",
        _ => find(name).map_or("", |setting| setting.words.trim()),
    };
    format!("{name}: missing. {words}")
}

/// What of a text was never replaced.
pub(crate) fn placeholder(value: &str) -> Option<String> {
    let app = value
        .match_indices("19000000000000000")
        .map(|(at, _)| &value[at..])
        .any(|rest| rest.len() >= 19 && rest[17..19].chars().all(|letter| letter.is_ascii_digit()));
    let marks =
        ["example.invalid", "example.com", "sb_publishable_example", "…", "[YOUR-PASSWORD]"];
    let tagged = value.contains('<') && value.contains('>');
    (app || tagged || marks.iter().any(|mark| value.contains(mark)))
        .then(|| "is a placeholder".to_owned())
}

/// The fault of one value.
fn wrong(name: &str, value: &str) -> Option<String> {
    if let Some(fault) = placeholder(value) {
        return Some(fault);
    }
    if value.len() > VALUE_LENGTH {
        return Some("is longer than 5 KB".to_owned());
    }
    if value.chars().any(|letter| letter.is_control() && letter != '\n') {
        return Some("holds a control character".to_owned());
    }
    match name {
        CLOUDFLARE_TOKEN | SUPABASE_TOKEN if value.contains(' ') => {
            Some("holds a space".to_owned())
        }
        DATABASE_URL => database_url(value),
        FUNCTIONS_URL => functions_url(value),
        "SUPABASE_SERVICE_ROLE_KEY" => key(value, "service_role", "sb_secret_"),
        "SUPABASE_ANON_KEY" => key(value, "anon", "sb_publishable_"),
        "REPLICATE_WEBHOOK_SECRET" if !value.starts_with("whsec_") => {
            Some("does not start with whsec_".to_owned())
        }
        _ if MADE_SECRETS.contains(&name) && value.len() < SECRET_LENGTH => Some(format!(
            "is shorter than {SECRET_LENGTH} letters; remove the line to have one made"
        )),
        // It stands in the tag of each version, between colons.
        DEPLOYMENT_ID if value.len() > 64 || !value.chars().all(is_id) => {
            Some("has up to 64 letters, digits, `.`, `_` and `-`".to_owned())
        }
        PLACEMENT_REGION if !value.contains(':') => {
            Some("is not `<cloud>:<region>`, as aws:us-east-1".to_owned())
        }
        _ => malformed(name, value),
    }
}

/// What a function would say of the value.
fn malformed(name: &str, value: &str) -> Option<String> {
    let setting = find(name)?;
    let lookup = |asked: &str| (asked == name).then(|| value.to_owned());
    if Config::parse(lookup, &[]).is_err() {
        return Some(format!("is not {}", setting.form));
    }
    if setting.form == "URL" && !value.starts_with("https://") {
        return Some("does not start with https://".to_owned());
    }
    None
}

fn database_url(value: &str) -> Option<String> {
    let Ok(config) = value.parse::<tokio_postgres::Config>() else {
        let form = "postgresql://user:password@host:5432/…";
        return Some(format!("is no connection string ({form})"));
    };
    if config.get_password().is_none() {
        return Some("holds no password".to_owned());
    }
    if config.get_ports().contains(&6543) {
        return Some(
            "names the transaction pooler (port 6543); take the session pooler or the direct \
             connection (port 5432)"
                .to_owned(),
        );
    }
    None
}

fn functions_url(value: &str) -> Option<String> {
    let (host, path) = value.strip_prefix("https://")?.split_once('/').unwrap_or((value, ""));
    if host.ends_with(".supabase.co") {
        return Some("is the project's address; the functions are at the gateway's".to_owned());
    }
    (path.trim_end_matches('/') != "functions/v1")
        .then(|| "does not end in /functions/v1".to_owned())
}

/// A key's fault, of either kind that a project has.
fn key(value: &str, role: &str, start: &str) -> Option<String> {
    if value.starts_with("sb_") {
        return (!value.starts_with(start)).then(|| format!("does not start with {start}"));
    }
    match claim(value, "role") {
        None => Some(format!("is neither a {start}… key nor a token")),
        Some(found) if found != role => Some(format!("is the key of the role {found}")),
        Some(_) => None,
    }
}

/// A claim of a token, unverified.
fn claim(token: &str, name: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    claims.get(name)?.as_str().map(str::to_owned)
}

/// The project that an address of Supabase names.
fn project_of(url: &str) -> Option<String> {
    let host = url.strip_prefix("https://")?.split(['/', ':']).next()?;
    host.strip_suffix(".supabase.co").map(str::to_owned)
}

/// The project that a connection string names, by its host or by the pooler's user.
fn project_of_database(url: &str) -> Option<String> {
    let config: tokio_postgres::Config = url.parse().ok()?;
    let of_host = config.get_hosts().iter().find_map(|host| match host {
        tokio_postgres::config::Host::Tcp(host) => {
            host.strip_prefix("db.")?.strip_suffix(".supabase.co").map(str::to_owned)
        }
        tokio_postgres::config::Host::Unix(_) => None,
    });
    of_host.or_else(|| config.get_user()?.strip_prefix("postgres.").map(str::to_owned))
}

fn contradictions(file: &OwnFile, secrets: &Secrets) -> Vec<String> {
    // A placeholder is a fault of its own.
    let of = |values: &BTreeMap<String, String>, name: &str| {
        values.get(name).filter(|value| placeholder(value).is_none()).cloned().unwrap_or_default()
    };
    let setting = |name: &str| of(&file.settings, name);
    let secret = |name: &str| of(&secrets.values, name);
    let mut faults = Vec::new();
    if let Some(project) = project_of(&setting("SUPABASE_URL")) {
        let others = [
            (DATABASE_URL, project_of_database(&secret(DATABASE_URL))),
            ("SUPABASE_SERVICE_ROLE_KEY", claim(&secret("SUPABASE_SERVICE_ROLE_KEY"), "ref")),
            ("SUPABASE_ANON_KEY", claim(&setting("SUPABASE_ANON_KEY"), "ref")),
        ];
        for (name, other) in others {
            if let Some(other) = other.filter(|other| *other != project) {
                let words = "SUPABASE_URL is that of";
                faults.push(format!("{name}: is of the project {other}; {words} {project}"));
            }
        }
    }
    let previous = secret("WEBHOOK_SECRET_PREVIOUS");
    if !previous.is_empty() && previous == secret("WEBHOOK_SECRET") {
        faults.push("WEBHOOK_SECRET_PREVIOUS: is the same as WEBHOOK_SECRET".to_owned());
    }
    let receiver = setting("OUTGOING_WEBHOOK_URL");
    if !receiver.is_empty() && secret("OUTGOING_WEBHOOK_SECRETS").is_empty() {
        faults.push("OUTGOING_WEBHOOK_SECRETS: is missing; nothing is sent unsigned".to_owned());
    }
    let (stripe, live) = (secret("STRIPE_API_KEY"), setting("PURCHASE_LIVE") == "true");
    if stripe.contains("_live_") && !live {
        faults.push("PURCHASE_LIVE: is not true, and STRIPE_API_KEY is a live one".to_owned());
    }
    if stripe.contains("_test_") && live {
        faults.push("PURCHASE_LIVE: is true, and STRIPE_API_KEY is of the test mode".to_owned());
    }
    faults
}
