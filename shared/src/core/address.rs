//! Decides which URLs a user or a provider may name, before anything is fetched.
//!
//! This module does no I/O: `flow::order::input` asks whether an object exists. Hosts match exactly
//! or as a dot-suffix, never as a bare suffix: `evil-example.com` is not under `example.com`.

use crate::core::config::Config;
use crate::core::id::UserId;
use url::{Host, Url};

const LENGTH_MAX: usize = 2_048;
/// The problem of a URL whose host no setting names.
pub const NOT_ALLOWED: &str = "is not on an allowed host";
/// The storage bucket for users' inputs.
pub const UPLOADS: &str = "uploads";

/// A checked input URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputUrl {
    /// An object of the caller in our own storage. `object` is `<bucket>/<path>`, percent-encoded
    /// as in a URL.
    Own { object: String, url: String },
    /// A URL on another host that `ALLOWED_INPUT_HOSTS` names.
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
    let object =
        own_object(&url, caller, &config.results_bucket).ok_or("is not one of your own uploads")?;
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
fn parse(text: &str, hosts: &[String]) -> Result<Url, &'static str> {
    if text.len() > LENGTH_MAX {
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

fn allowed(url: &Url, hosts: &[String]) -> bool {
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
fn own_object(url: &Url, caller: UserId, results: &str) -> Option<String> {
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
    let own =
        (bucket == UPLOADS || bucket == results) && owner == caller.to_string() && !name.is_empty();
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

#[cfg(test)]
mod tests {
    use super::{InputUrl, input, output};
    use crate::core::config::Config;
    use crate::core::id::UserId;

    const ME: &str = "00000000-0000-4000-8000-000000000001";

    fn config(base: &str, inputs: &[&str]) -> Config {
        let list = |hosts: &[&str]| hosts.iter().map(|host| (*host).to_owned()).collect();
        Config {
            supabase_url: Some(base.to_owned()),
            allowed_input_hosts: list(inputs),
            provider_output_hosts: list(&["cdn.example", "127.0.0.1:54323"]),
            results_bucket: "results".to_owned(),
            ..Config::default()
        }
    }

    fn check(text: &str) -> Result<InputUrl, &'static str> {
        input(
            text,
            UserId::parse(ME).unwrap(),
            &config("https://p.supabase.test", &["pics.example"]),
        )
    }

    /// Source: RunningHub's v2 reference and the settings of public clients.
    #[test]
    fn r02_the_buckets_of_runninghub_are_in_the_shipped_wrangler_toml() {
        let shipped = include_str!("../../../wrangler.toml");
        let values = shipped.lines().filter_map(|line| {
            let hosts = line.strip_prefix("PROVIDER_OUTPUT_HOSTS = \"")?.strip_suffix('"')?;
            hosts.contains("runninghub").then_some(hosts)
        });
        let mut count = 0;
        for hosts in values {
            let provider_output_hosts = hosts.split(',').map(str::to_owned).collect();
            let config = Config { provider_output_hosts, ..Config::default() };
            for host in [
                "rh-images-1252422369.cos.ap-beijing.myqcloud.com",
                "rh-hk-images-1252422369.cos.ap-hongkong.myqcloud.com",
                "rh-images-switch-1252422369.cos.ap-guangzhou.myqcloud.com",
                "rh-images.xiaoyaoyou.com",
            ] {
                assert!(output(&format!("https://{host}/a/b.png"), &config).is_ok(), "{host}");
            }
            for host in ["evil-1252422369.cos.ap-beijing.myqcloud.com", "myqcloud.com"] {
                assert!(output(&format!("https://{host}/a/b.png"), &config).is_err(), "{host}");
            }
            count += 1;
        }
        assert!(count > 3, "each function that copies results names the hosts");
    }

    #[test]
    fn own_objects_pass_in_both_spellings_and_become_public_urls() {
        for prefix in ["", "public/"] {
            for bucket in ["uploads", "results"] {
                let text = format!(
                    "https://p.supabase.test/storage/v1/object/{prefix}{bucket}/{ME}/j/a%20b.png?x"
                );
                let object = format!("{bucket}/{ME}/j/a%20b.png");
                let url = format!("https://p.supabase.test/storage/v1/object/public/{object}");
                assert_eq!(check(&text), Ok(InputUrl::Own { object, url }), "{text}");
            }
        }
    }

    /// Source: storage-js, `useNewHostname`.
    #[test]
    fn c23_the_projects_storage_host_is_our_own() {
        let me = UserId::parse(ME).unwrap();
        let check = |host: &str, owner: &str| {
            let config = config("https://abc.supabase.co", &["abc.storage.supabase.co"]);
            let path = format!("storage/v1/object/public/uploads/{owner}/a.png");
            input(&format!("https://{host}/{path}"), me, &config)
        };
        let object = format!("uploads/{ME}/a.png");
        let url = format!("https://abc.supabase.co/storage/v1/object/public/{object}");
        assert_eq!(check("abc.storage.supabase.co", ME), Ok(InputUrl::Own { object, url }));
        let other = "00000000-0000-4000-8000-000000000002";
        let foreign = Err("is not one of your own uploads");
        assert_eq!(check("abc.storage.supabase.co", other), foreign);
        for host in ["abd.storage.supabase.co", "x.abc.storage.supabase.co", "storage.supabase.co"]
        {
            assert!(!matches!(check(host, ME), Ok(InputUrl::Own { .. })), "{host}");
        }
    }

    #[test]
    fn our_own_host_refuses_everything_but_the_callers_objects() {
        let other = "00000000-0000-4000-8000-000000000002";
        let object = |path: &str| format!("/storage/v1/object/public/{path}");
        for path in [
            object(&format!("uploads/{other}/a.png")),
            object(&format!("secret/{ME}/a.png")),
            object(&format!("uploads/{ME}/../{other}/a.png")),
            object(&format!("uploads/{ME}/..%2f{other}/a.png")),
            object(&format!("uploads/{ME}/%2e%2e/{other}/a.png")),
            object(&format!("uploads/{ME}\\..\\{other}\\a.png")),
            object(&format!("uploads/{ME}//a.png")),
            object(&format!("uploads/{ME}/")),
            object(&format!("uploads/{ME}")),
            "/rest/v1/jobs".to_owned(),
            String::new(),
        ] {
            assert!(check(&format!("https://p.supabase.test{path}")).is_err(), "{path}");
        }
    }

    #[test]
    fn a_path_that_does_not_decode_to_text_is_refused() {
        for odd in [
            "%c0%ae",
            "%C0%AF",
            "%",
            "%2",
            "%zz",
            "%+1",
            "a%",
            "%00",
            "%01",
            "%0a",
            "%7f",
            "%c2%85",
            "%ff",
            "%fe%ff",
            "%ed%a0%80",
            "%f5%80%80%80",
            "%e2%82",
            "%80",
            "%u0041",
            "%2G",
            "a%e4.png",
        ] {
            let text =
                format!("https://p.supabase.test/storage/v1/object/public/uploads/{ME}/{odd}");
            assert_eq!(check(&text), Err("is not one of your own uploads"), "{odd}");
        }
        for good in [
            "a%20b.png",
            "%C3%A4.png",
            "%F0%9F%98%80.png",
            "100%25.png",
            "%252e%252e",
            "a+b.png",
            "ä.png",
        ] {
            let text =
                format!("https://p.supabase.test/storage/v1/object/public/uploads/{ME}/{good}");
            assert!(check(&text).is_ok(), "{good}");
        }
    }

    #[test]
    fn an_entry_without_a_full_domain_allows_no_host() {
        let me = UserId::parse(ME).unwrap();
        for hosts in [".", "..", "", "com", ".com", "localhost", "127"] {
            let config = config("https://p.supabase.test", &[hosts]);
            for host in [
                "evil.example",
                "evil.example.",
                "evil.com",
                "evil.com.",
                "a.localhost",
                "10.0.0.127",
                "x..",
            ] {
                assert!(
                    input(&format!("https://{host}/a.png"), me, &config).is_err(),
                    "{hosts:?} allows {host}"
                );
            }
        }
    }

    #[test]
    fn other_hosts_pass_only_if_the_setting_names_them() {
        for good in [
            "https://pics.example/a.png",
            "https://eu.pics.example/a.png",
            "https://PICS.example/a.png",
        ] {
            assert!(matches!(check(good), Ok(InputUrl::Other { .. })), "{good}");
        }
        for bad in [
            "https://evilpics.example/a.png",
            "https://pics.example.evil/a.png",
            "https://pics.example:8443/a.png",
            "https://u@pics.example/a.png",
            "https://u:p@pics.example/a.png",
            "http://pics.example/a.png",
            "http://127.0.0.1/a.png",
            "http://169.254.169.254/latest",
            "https://[::1]/a.png",
            "ftp://pics.example/a.png",
            "data:image/png;base64,AAAA",
            "pics.example/a.png",
            "",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(
            check(&format!("https://pics.example/{}", "a".repeat(2_048))),
            Err("is too long")
        );
    }

    #[test]
    fn loopback_passes_only_if_the_setting_names_host_and_port() {
        let url = format!("http://127.0.0.1:54321/storage/v1/object/public/uploads/{ME}/a.png");
        let me = UserId::parse(ME).unwrap();
        let local = config("http://127.0.0.1:54321", &["127.0.0.1:54321"]);
        assert!(matches!(input(&url, me, &local), Ok(InputUrl::Own { .. })));
        let closed = config("http://127.0.0.1:54321", &[]);
        assert!(input(&url, me, &closed).is_err());
        assert!(input("http://127.0.0.1:54322/a.png", me, &local).is_err());
    }

    #[test]
    fn outputs_pass_only_from_named_hosts() {
        let config = config("https://p.supabase.test", &[]);
        for good in [
            "https://cdn.example/a.png",
            "https://eu.cdn.example/a.png?sig=1",
            "http://127.0.0.1:54323/files/a.png",
        ] {
            assert!(output(good, &config).is_ok(), "{good}");
        }
        for bad in [
            "https://evilcdn.example/a.png",
            "http://cdn.example/a.png",
            "http://127.0.0.1:54322/a.png",
            "https://p.supabase.test/x",
        ] {
            assert!(output(bad, &config).is_err(), "{bad}");
        }
    }
}
