//! Signs the messages that tell the app's back end how a job ended, and checks their receiver.

use serde_json::{Map, Value};
use url::{Host, Url};

use super::config::Config;
use super::error::ApiError;
use super::standard_webhooks;
use super::transport::HttpRequest;

const TIMEOUT_MS: u32 = 10_000;

/// The receiver of the messages, and the secrets that sign them.
#[derive(Debug)]
pub struct EndReceiver<'c> {
    url: &'c str,
    secrets: &'c [String],
}

impl<'c> EndReceiver<'c> {
    /// The receiver in the settings, if there is one. An error names the setting at fault: no
    /// message is sent unsigned, or to an address inside of a network.
    pub fn of(config: &'c Config) -> Result<Option<Self>, ApiError> {
        let Some(url) = config.outgoing_webhook_url.as_deref() else { return Ok(None) };
        let is_local = config.supabase_url.as_deref().is_some_and(|own| own.starts_with("http:"));
        if !is_receiver(url, is_local) {
            return Err(ApiError::misconfigured("OUTGOING_WEBHOOK_URL"));
        }
        let secrets = config.outgoing_webhook_secrets.as_slice();
        let is_good = |secret: &String| standard_webhooks::sign(secret, "", "", "").is_some();
        if secrets.is_empty() || !secrets.iter().all(is_good) {
            return Err(ApiError::misconfigured("OUTGOING_WEBHOOK_SECRETS"));
        }
        Ok(Some(Self { url, secrets }))
    }

    /// Builds the request that sends a message, signed now with every secret.
    pub fn request(&self, id: &str, message: &Map<String, Value>, now_s: u64) -> HttpRequest {
        let body = Value::Object(message.clone()).to_string();
        let timestamp = now_s.to_string();
        let signed = |secret: &String| standard_webhooks::sign(secret, id, &timestamp, &body);
        let entries = self.secrets.iter().filter_map(signed).flatten();
        let entries: Vec<String> = entries.map(|entry| format!("v1,{entry}")).collect();
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", &timestamp),
            ("webhook-signature", &entries.join(" ")),
        ];
        HttpRequest {
            method: "POST",
            url: self.url.to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body: Some(body),
            timeout_ms: TIMEOUT_MS,
        }
    }
}

/// Whether the text is an internet address: `https`, and no host that only a private network knows.
/// In local development, an address of this machine is allowed too.
fn is_receiver(text: &str, is_local: bool) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    if !url.username().is_empty() || url.password().is_some() {
        return false;
    }
    match url.host() {
        None => false,
        Some(host) if is_loopback(&host) => is_local,
        Some(Host::Ipv4(ip)) => url.scheme() == "https" && is_public(ip),
        Some(Host::Ipv6(ip)) => {
            // IPv6's global unicast addresses begin with the bits 001.
            let [first, ..] = ip.segments();
            url.scheme() == "https" && first & 0xe000 == 0x2000
        }
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let inside = [".local", ".internal", ".localhost", ".lan", ".home.arpa"];
            url.scheme() == "https"
                && name.contains('.')
                && !inside.iter().any(|end| name.ends_with(end))
        }
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
        Host::Domain(name) => *name == "localhost",
    }
}

fn is_public(ip: std::net::Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    let is_shared = first == 100 && second & 0xc0 == 64;
    let is_reserved = first == 0 || first >= 224 || (first == 198 && second & 0xfe == 18);
    !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared || is_reserved)
}

#[cfg(test)]
mod tests {
    use super::{EndReceiver, is_receiver};
    use crate::core::config::Config;
    use crate::core::standard_webhooks::verify;
    use crate::core::webhook::Signature;
    use serde_json::{Map, json};

    #[test]
    fn only_the_internet_is_told() {
        for good in
            ["https://app.example/hook?key=1", "https://app.example:8443/", "https://8.8.8.8"]
        {
            assert!(is_receiver(good, false), "{good}");
        }
        for bad in [
            "",
            "app.example",
            "http://app.example/",
            "ftp://app.example/",
            "https://user:word@app.example/",
            "https://localhost/",
            "https://hook/",
            "https://hook.internal/",
            "https://hook.local./",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://10.1.2.3/",
            "https://172.20.0.1/",
            "https://192.168.0.1/",
            "https://169.254.169.254/latest",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
        ] {
            assert!(!is_receiver(bad, false), "{bad}");
        }
        assert!(is_receiver("http://127.0.0.1:8080/hook", true));
        assert!(!is_receiver("http://10.0.0.1/", true));
    }

    fn config(url: &str, secrets: &[&str]) -> Config {
        Config {
            outgoing_webhook_url: Some(url.to_owned()),
            outgoing_webhook_secrets: secrets.iter().map(|secret| (*secret).to_owned()).collect(),
            ..Config::default()
        }
    }

    #[test]
    fn a_message_is_signed_by_each_secret() {
        let config = config("https://app.example/", &["whsec_b2xk", "a new secret"]);
        let receiver = EndReceiver::of(&config).unwrap().unwrap();
        let mut message = Map::new();
        message.insert("type".to_owned(), json!("job.completed"));
        let request = receiver.request("m1", &message, 1_000);
        let header = |name: &str| {
            let found = request.headers.iter().find(|(own, _)| own == name);
            found.map(|(_, value)| value.clone()).unwrap()
        };
        let signature = Signature {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            entries: header("webhook-signature"),
            ..Signature::default()
        };
        let body = request.body.unwrap();
        for secret in ["whsec_b2xk", "a new secret"] {
            assert_eq!(verify(secret, &signature, &body, 1_000), Some(true));
            assert!(!body.contains(secret));
        }
        assert_eq!(verify("another secret", &signature, &body, 1_000), Some(false));
    }

    #[test]
    fn nothing_is_sent_unsigned_or_inside() {
        assert!(EndReceiver::of(&Config::default()).unwrap().is_none());
        for (url, secrets, setting) in [
            ("https://app.example/", &[][..], "OUTGOING_WEBHOOK_SECRETS"),
            ("https://app.example/", &["whsec_!!"], "OUTGOING_WEBHOOK_SECRETS"),
            ("https://10.0.0.1/", &["s"], "OUTGOING_WEBHOOK_URL"),
        ] {
            let refused = EndReceiver::of(&config(url, secrets)).unwrap_err();
            assert!(format!("{refused:?}").contains(setting), "{url}");
        }
    }
}
