//! Finds the fault of one value: a placeholder, a wrong spelling, a wrong form. No fault shows the
//! value.

use std::ops::RangeInclusive;

use base64::Engine as _;
use shared::core::config::{Config, GROUPS, Setting};

use super::deployment::{
    ANON_KEY, DATABASE_URL, DEPLOYMENT_ID, FUNCTIONS_URL, MADE_SECRETS, PLACEMENT_REGION,
    REPLICATE_SECRET, SERVICE_KEY, SUPABASE_TOKEN, SUPABASE_URL,
};
use crate::address::DatabaseAddress;

/// Cloudflare's limit for the length of a variable's value.
const VALUE_LENGTH: usize = 5 * 1024;
const SECRET_LENGTH: usize = 24;
/// The numbers with which a function works. A plan of Cloudflare allows 50 to 10,000 subrequests,
/// and a queue's consumer runs for at most 15 minutes.
const BOUNDS: [(&str, RangeInclusive<u32>); 3] = [
    ("SUBREQUEST_BUDGET", 50..=10_000),
    ("LLM_STALL_MS", 1_000..=900_000),
    ("LLM_MAX_TOKENS", 256..=1_000_000),
];
fn is_id(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || ".-_".contains(letter)
}

pub(super) fn find(name: &str) -> Option<&'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings).find(|setting| setting.name == name)
}

/// The fault of a text in which a placeholder was not replaced.
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
pub(super) fn wrong(name: &str, value: &str) -> Option<String> {
    if let Some(fault) = placeholder(value).or_else(|| spelling(name, value)) {
        return Some(fault);
    }
    match name {
        DATABASE_URL => database_url(value),
        FUNCTIONS_URL => functions_url(value),
        SUPABASE_URL => supabase_url(value),
        SERVICE_KEY => key(value, "service_role", "sb_secret_"),
        ANON_KEY => key(value, "anon", "sb_publishable_"),
        SUPABASE_TOKEN => starts(value, &["sbp_"]),
        REPLICATE_SECRET => starts(value, &["whsec_"]),
        "STRIPE_API_KEY" => starts(value, &["rk_live_", "rk_test_", "sk_live_", "sk_test_"]),
        "PURCHASE_STRIPE_SECRETS" => {
            value.split(',').find_map(|secret| starts(secret.trim(), &["whsec_"]))
        }
        _ if MADE_SECRETS.contains(&name) && value.len() < SECRET_LENGTH => Some(format!(
            "is shorter than {SECRET_LENGTH} letters; remove the line to have one made"
        )),
        // The id stands in the tag of each version, between colons.
        DEPLOYMENT_ID if value.len() > 64 || !value.chars().all(is_id) => {
            Some("has up to 64 letters, digits, `.`, `_` and `-`".to_owned())
        }
        PLACEMENT_REGION if !value.contains(':') => {
            Some("is not `<cloud>:<region>`, as aws:us-east-1".to_owned())
        }
        "BUY_URL" | "LOGS_URL" if !value.starts_with("https://") => {
            Some("does not start with https://".to_owned())
        }
        "LOGS_URL" if !value.contains("{jobId}") => {
            Some("does not say where the job's id belongs: {jobId}".to_owned())
        }
        _ => malformed(name, value),
    }
}

/// The fault of characters that no value of this form contains.
fn spelling(name: &str, value: &str) -> Option<String> {
    let form = find(name).map_or("text", |setting| setting.form);
    let is_json = form.starts_with("JSON");
    let is_one = !is_json && !form.contains("separated");
    let quoted = ['"', '\'', '`'].iter().any(|quote| value.starts_with(*quote));
    let words = if value.len() > VALUE_LENGTH {
        "is longer than 5 KB"
    } else if value.chars().any(|c| c.is_control() && !(is_json && c.is_ascii_whitespace())) {
        "holds a control character, as the end of a line"
    } else if !is_json && quoted {
        "has quotes inside its quotes"
    } else if is_one && value.contains(char::is_whitespace) {
        "holds a space"
    } else if is_one && !value.is_ascii() {
        "holds a letter that is not ASCII"
    } else {
        return None;
    };
    Some(words.to_owned())
}

fn starts(value: &str, with: &[&str]) -> Option<String> {
    let fits = with.iter().any(|start| value.starts_with(start));
    (!fits).then(|| format!("does not start with {}", with.join(" or ")))
}

/// The fault that a function would find in the value.
fn malformed(name: &str, value: &str) -> Option<String> {
    let setting = find(name)?;
    let lookup = |asked: &str| (asked == name).then(|| value.to_owned());
    if Config::parse(lookup, &[]).is_err() {
        return Some(format!("is not {}", setting.form));
    }
    if setting.form == "URL" && !value.starts_with("https://") {
        return Some("does not start with https://".to_owned());
    }
    let (_, range) = BOUNDS.iter().find(|(bounded, _)| *bounded == name)?;
    let within = value.parse().is_ok_and(|number: u32| range.contains(&number));
    (!within).then(|| format!("is not between {} and {}", range.start(), range.end()))
}

fn supabase_url(value: &str) -> Option<String> {
    let Some(rest) = value.strip_prefix("https://") else {
        return Some("does not start with https://".to_owned());
    };
    let (host, path) = rest.trim_end_matches('/').split_once('/').unwrap_or((rest, ""));
    let host = host.trim_end_matches('/');
    if host == "supabase.com" || host.starts_with("db.") {
        return Some("is not the project's address, https://<ref>.supabase.co".to_owned());
    }
    (!path.is_empty() || host.contains(['?', '#', '@']))
        .then(|| "has something behind the host; it is https://<ref>.supabase.co alone".to_owned())
}

fn database_url(value: &str) -> Option<String> {
    let address = match DatabaseAddress::parse(value) {
        Ok(address) => address,
        Err(fault) => return Some(format!("{fault:#}")),
    };
    if address.config.get_password().is_none() {
        return Some("holds no password".to_owned());
    }
    address.connector().err().map(|fault| format!("{fault:#}"))
}

fn functions_url(value: &str) -> Option<String> {
    let (host, path) = value.strip_prefix("https://")?.split_once('/').unwrap_or((value, ""));
    if host.ends_with(".supabase.co") {
        return Some("is the project's address; the functions are at the gateway's".to_owned());
    }
    (path.trim_end_matches('/') != "functions/v1")
        .then(|| "does not end in /functions/v1".to_owned())
}

/// The fault of a key, of either kind that a project has.
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

/// A claim of a token, which is not verified.
pub(super) fn claim(token: &str, name: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    claims.get(name)?.as_str().map(str::to_owned)
}

/// The project in `https://<project>.supabase.co`.
pub(super) fn project_of(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    let project =
        url.host_str().filter(|_| url.scheme() == "https")?.strip_suffix(".supabase.co")?;
    let plain = !project.is_empty() && project.chars().all(|c| c.is_ascii_alphanumeric());
    plain.then(|| project.to_owned())
}

/// The project in a connection string.
pub(super) fn project_of_database(url: &str) -> Option<String> {
    DatabaseAddress::parse(url).ok()?.project()
}
