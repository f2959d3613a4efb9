//! Decides which URLs a user or a provider may name, before anything is fetched.
//!
//! This module does no I/O: `flow::order::input` asks whether an object exists. Hosts match exactly
//! or as a dot-suffix, never as a bare suffix: `evil-example.com` is not under `example.com`.

use crate::core::config::Config;
use crate::core::id::UserId;
use url::{Host, Url};

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;

pub(super) const LENGTH_MAX: usize = 2_048;
/// The problem of a URL whose host is in no setting.
pub const NOT_ALLOWED: &str = "is not on an allowed host";

/// A checked input URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputUrl {
    /// An object of the caller in our own storage. `object` is `<bucket>/<path>`, percent-encoded
    /// as in a URL.
    Own { object: String, url: String },
    /// A URL on another host in `ALLOWED_INPUT_HOSTS`.
    Other { url: String },
}

impl InputUrl {
    /// Returns a URL that the provider can open without credentials.
    pub fn url(&self) -> &str {
        match self {
            Self::Own { url, .. } | Self::Other { url } => url,
        }
    }
}

/// Checks an input URL of `caller`. The error reads as a sentence after the name of the field.
pub fn input(text: &str, caller: UserId, config: &Config) -> Result<InputUrl, &'static str> {
    let url = parse(text, &config.allowed_input_hosts)?;
    let own = config.supabase_url.as_deref().and_then(|base| Url::parse(base).ok());
    let Some(own) = own.filter(|own| is_own(&url, own)) else {
        if !allowed(&url, &config.allowed_input_hosts) {
            return Err(NOT_ALLOWED);
        }
        return Ok(InputUrl::Other { url: url.into() });
    };
    if (url.scheme(), url.port()) != (own.scheme(), own.port()) {
        return Err(NOT_ALLOWED);
    }
    let buckets = [config.uploads_bucket.as_str(), config.results_bucket.as_str()];
    let object = own_object(&url, caller, buckets).ok_or("is not one of your own uploads")?;
    let url = format!("{}/storage/v1/object/public/{object}", own.as_str().trim_end_matches('/'));
    Ok(InputUrl::Own { object, url })
}

/// Whether the URL is on our project's host, or on the host that Supabase dedicates to its storage:
/// `<ref>.storage.supabase.co` beside `<ref>.supabase.co`.
fn is_own(url: &Url, own: &Url) -> bool {
    let (Some(host), Some(own)) = (url.host_str(), own.host_str()) else { return false };
    let dedicated = |(project, domain): (&str, &str)| {
        let end = format!(".storage.{domain}");
        matches!(domain, "supabase.co" | "supabase.in") && host.strip_suffix(&end) == Some(project)
    };
    host == own || own.split_once('.').is_some_and(dedicated)
}

/// Checks a URL that a provider returned. Only hosts of `PROVIDER_OUTPUT_HOSTS` may be fetched. The
/// error reads as a sentence after the name of the field.
pub fn output(text: &str, config: &Config) -> Result<Url, &'static str> {
    let url = parse(text, &config.provider_output_hosts)?;
    if allowed(&url, &config.provider_output_hosts) { Ok(url) } else { Err(NOT_ALLOWED) }
}

/// Accepts `https` on the default port, and loopback `http` if a setting names its host and port.
pub(super) fn parse(text: &str, hosts: &[String]) -> Result<Url, &'static str> {
    if text.chars().count() > LENGTH_MAX {
        return Err("is too long");
    }
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not carry user information");
    }
    match url.scheme() {
        "https" if url.port().is_none() => Ok(url),
        "https" => Err("must use the default port"),
        "http" if is_loopback(&url) && named_with_port(&url, hosts) => Ok(url),
        _ => Err("must be an https URL"),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn named_with_port(url: &Url, hosts: &[String]) -> bool {
    let (Some(host), Some(port)) = (url.host_str(), url.port()) else {
        return false;
    };
    let name = format!("{host}:{port}");
    hosts.contains(&name)
}

pub(super) fn allowed(url: &Url, hosts: &[String]) -> bool {
    if url.port().is_some() {
        return named_with_port(url, hosts);
    }
    let Some(host) = url.host_str() else {
        return false;
    };
    hosts.iter().any(|entry| {
        let entry = entry.trim_start_matches('.');
        // An entry without a dot is a top-level domain or this machine. It allows no subdomain.
        let is_suffix = || {
            entry.contains('.') && host.strip_suffix(entry).is_some_and(|rest| rest.ends_with('.'))
        };
        !entry.is_empty() && (host == entry || is_suffix())
    })
}

/// Returns `<bucket>/<caller>/…` from the URL of an object that belongs to the caller.
fn own_object(url: &Url, caller: UserId, buckets: [&str; 2]) -> Option<String> {
    let path = url.path().strip_prefix("/storage/v1/object/")?;
    let path = path.strip_prefix("public/").unwrap_or(path);
    let lower = path.to_ascii_lowercase();
    // Storage might decode these into another path than the one checked here.
    if ["%2f", "%5c", "%2e", "%00", "\\", "//"].iter().any(|bad| lower.contains(bad)) {
        return None;
    }
    if !is_valid_text(path) {
        return None;
    }
    let (bucket, rest) = path.split_once('/')?;
    let (owner, name) = rest.split_once('/')?;
    let own = buckets.contains(&bucket) && owner == caller.to_string() && !name.is_empty();
    own.then(|| path.to_owned())
}

/// Returns whether every percent escape of this path is complete and decodes to UTF-8 without
/// control characters. Storage cannot hold other names, and its answer to them is not defined.
fn is_valid_text(path: &str) -> bool {
    let (mut bytes, mut rest) = (Vec::with_capacity(path.len()), path.bytes());
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| {
            char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
        };
        match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => bytes.push((high << 4) | low),
                _ => return false,
            },
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).is_ok_and(|text| !text.contains(char::is_control))
}
