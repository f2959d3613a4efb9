//! Parses a database's address, `postgresql://user:password@host:5432/database`, by libpq's rules.
//!
//! `sslmode` is one of `disable`, `prefer`, `require`, `verify-ca` and `verify-full`. `sslrootcert`
//! names a file of certificates; as in libpq, `require` with such a file means `verify-ca`. One
//! rule is stricter than libpq's: without `sslmode`, only this machine gets `prefer`, and every
//! other host gets `require`. With `prefer`, an attacker in between could claim that the server has
//! no TLS, and would receive the password. Source: PostgreSQL's manual, libpq, "SSL Support".

use std::borrow::Cow;
use std::error::Error as _;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;

use crate::tls::{self, Trust};

/// The port of Supabase's pooler in transaction mode: it changes the session after each
/// transaction.
const TRANSACTION_POOLER: u16 = 6543;
const FORM: &str = "is no address of a database (postgresql://user:password@host:5432/database)";

pub struct DatabaseAddress {
    pub config: Config,
    trust: Trust,
}

/// The address's TLS parameters.
#[derive(Default)]
struct TlsWish {
    mode: Option<String>,
    root: Option<String>,
}

impl DatabaseAddress {
    /// Fails if the address cannot lead to a session. No error shows a part of the password.
    pub fn parse(url: &str) -> Result<Self> {
        let (rest, asked) = take_tls(url)?;
        let config: Config = rest.parse().map_err(|error: tokio_postgres::Error| {
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            anyhow!("{FORM}: {why}")
        })?;
        let mut address = Self { config, trust: Trust::Anyone };
        address.refuse_poolers()?;
        address.set_tls(asked)?;
        Ok(address)
    }

    /// Whether all hosts of the address are this machine.
    pub fn is_local(&self) -> bool {
        let is_loopback = |ip: &IpAddr| ip.is_loopback();
        self.config.get_hostaddrs().iter().all(is_loopback)
            && self.config.get_hosts().iter().all(|host| match host {
                Host::Tcp(name) => {
                    name == "localhost" || name.parse().is_ok_and(|ip| is_loopback(&ip))
                }
                Host::Unix(_) => true,
            })
    }

    /// The Supabase project in the host `db.<project>.supabase.co`, or in the pooler's user
    /// `postgres.<project>`.
    pub fn project(&self) -> Option<String> {
        let direct =
            |name: &str| Some(name.strip_prefix("db.")?.strip_suffix(".supabase.co")?.into());
        let pooled = || Some(self.config.get_user()?.split_once('.')?.1.to_owned());
        let project: String = self.names().find_map(|name| {
            direct(name).or_else(|| name.ends_with(".supabase.com").then(pooled).flatten())
        })?;
        let plain = !project.is_empty() && project.chars().all(|c| c.is_ascii_alphanumeric());
        plain.then_some(project)
    }

    /// Makes the TLS part of a connection, which also verifies the server's certificate.
    pub fn connector(&self) -> Result<tokio_postgres_rustls::MakeRustlsConnect> {
        tls::connector(&self.trust)
    }

    /// The servers' names, for messages.
    pub fn server(&self) -> String {
        let host = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        let hosts: Vec<String> = self.config.get_hosts().iter().map(host).collect();
        let database = self.config.get_dbname().unwrap_or("of the user");
        format!("{}, database {database}", hosts.join(", "))
    }

    /// Explains why the connection failed, and what to do.
    pub fn explain(&self, error: &tokio_postgres::Error) -> String {
        if let Some(words) = tls::explain(error, &self.trust) {
            return words;
        }
        let Some(db) = error.as_db_error() else {
            let why = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            let lost = format!("{error}{why}");
            return match self.names().find(|name| is_direct(name)) {
                Some(_) => format!(
                    "{lost}; this host has an IPv6 address only, unless the project has the IPv4 \
                     add-on: where this machine or its network has no IPv6, take the address under \
                     Connect, Session pooler (port 5432)"
                ),
                None => lost,
            };
        };
        let cure = match *db.code() {
            SqlState::INVALID_PASSWORD => {
                "; the password in the address is wrong, or a sign in it is not written as %XX"
            }
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION if !self.asks_for_tls() => {
                "; where the server wants TLS, add `?sslmode=require` to the address"
            }
            _ if db.message().contains("Tenant or user not found") => {
                "; the pooler's user is `postgres.<ref>`, and its host is that of the project's \
                 region, as Connect shows both"
            }
            _ => "",
        };
        format!("{} ({}){cure}", db.message(), db.code().code())
    }

    fn asks_for_tls(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.config.get_hosts().iter().filter_map(|host| match host {
            Host::Tcp(name) => Some(name.as_str()),
            Host::Unix(_) => None,
        })
    }

    /// Refuses poolers in transaction mode: locks and prepared statements need a session.
    fn refuse_poolers(&self) -> Result<()> {
        if self.config.get_ports().contains(&TRANSACTION_POOLER) {
            return Err(transaction_pooler());
        }
        let is_pooler = self.names().any(|name| name.ends_with(".pooler.supabase.com"));
        if is_pooler && !self.config.get_user().is_some_and(|user| user.contains('.')) {
            bail!("names the pooler without the project: its user is `postgres.<ref>`");
        }
        Ok(())
    }

    fn set_tls(&mut self, asked: TlsWish) -> Result<()> {
        let local = self.is_local();
        let default = if local { "prefer" } else { "require" };
        let public = asked.root.as_deref() == Some("system");
        let root = asked.root.filter(|_| !public).map(PathBuf::from);
        let (mode, trust) = match (asked.mode.as_deref().unwrap_or(default), root) {
            ("disable", _) => (SslMode::Disable, Trust::Anyone),
            ("verify-full", root) => (SslMode::Require, Trust::Host(root)),
            (_, _) if public => bail!("sslrootcert=system goes with sslmode=verify-full only"),
            ("prefer", _) => (SslMode::Prefer, Trust::Anyone),
            ("require", None) => (SslMode::Require, Trust::Anyone),
            ("require" | "verify-ca", Some(root)) => (SslMode::Require, Trust::Authority(root)),
            ("verify-ca", None) => bail!(
                "sslmode=verify-ca needs sslrootcert=<file>: of public authorities any certificate \
                 would do; or write sslmode=verify-full"
            ),
            _ => bail!("sslmode is one of disable, prefer, require, verify-ca and verify-full"),
        };
        self.config.ssl_mode(mode);
        self.trust = trust;
        Ok(())
    }
}

fn is_direct(name: &str) -> bool {
    name.starts_with("db.") && name.ends_with(".supabase.co")
}

fn transaction_pooler() -> anyhow::Error {
    anyhow!(
        "names the transaction pooler (port {TRANSACTION_POOLER}), which keeps no session for \
         locks and prepared statements; take the session pooler or the direct connection (port \
         5432)"
    )
}

/// Splits the TLS parameters off the address, because tokio-postgres supports fewer of them than
/// libpq.
fn take_tls(url: &str) -> Result<(Cow<'_, str>, TlsWish)> {
    let schemes = ["postgres://", "postgresql://"];
    let Some(rest) = schemes.iter().find_map(|scheme| url.strip_prefix(scheme)) else {
        bail!("{FORM}");
    };
    // The password ends at the first `@`; it may contain `/` and `?`.
    let behind = rest.split_once('@').map_or(rest, |(_, behind)| behind);
    if behind.split(['/', '?']).next().is_some_and(|host| host.contains('@')) {
        bail!("has `@` in its password: write it as %40");
    }
    let Some((path, query)) = behind.split_once('?') else {
        return Ok((Cow::Borrowed(url), TlsWish::default()));
    };
    let head = url.len() - behind.len() + path.len();
    let (mut asked, mut others) = (TlsWish::default(), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let text = percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned();
        match name {
            "sslmode" => asked.mode = Some(text),
            "sslrootcert" => asked.root = Some(text),
            "pgbouncer" => return Err(transaction_pooler()),
            _ => others.push(pair),
        }
    }
    let start = url.get(..head).unwrap_or_default();
    let joined = others.join("&");
    let mark = if joined.is_empty() { "" } else { "?" };
    Ok((Cow::Owned(format!("{start}{mark}{joined}")), asked))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::DatabaseAddress;
    use crate::tls::Trust;

    const REF: &str = "abcdefghijklmnopqrst";

    fn parsed(url: &str) -> DatabaseAddress {
        DatabaseAddress::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn tls_follows_the_address_and_is_a_must_elsewhere() {
        let file = || "ca.crt".into();
        for (host, says, mode, trust) in [
            ("127.0.0.1", "", SslMode::Prefer, Trust::Anyone),
            ("localhost", "", SslMode::Prefer, Trust::Anyone),
            ("[::1]", "", SslMode::Prefer, Trust::Anyone),
            ("%2Frun", "", SslMode::Prefer, Trust::Anyone),
            ("db.example.org", "", SslMode::Require, Trust::Anyone),
            ("127.0.0.1,db.example.org", "", SslMode::Require, Trust::Anyone),
            ("localhost", "hostaddr=10.0.0.1", SslMode::Require, Trust::Anyone),
            ("10.0.0.1", "sslmode=disable", SslMode::Disable, Trust::Anyone),
            ("10.0.0.1", "sslmode=prefer", SslMode::Prefer, Trust::Anyone),
            ("127.0.0.1", "sslmode=require", SslMode::Require, Trust::Anyone),
            ("10.0.0.1", "sslrootcert=ca.crt", SslMode::Require, Trust::Authority(file())),
            (
                "h",
                "sslmode=verify-ca&sslrootcert=ca.crt",
                SslMode::Require,
                Trust::Authority(file()),
            ),
            (
                "h",
                "sslmode=verify-full&sslrootcert=ca.crt",
                SslMode::Require,
                Trust::Host(Some(file())),
            ),
            ("h", "sslmode=verify-full&sslrootcert=system", SslMode::Require, Trust::Host(None)),
            ("h", "application_name=x&sslmode=verify-full", SslMode::Require, Trust::Host(None)),
        ] {
            let address = parsed(&format!("postgresql://u:w@{host}/d?{says}"));
            assert_eq!(address.config.get_ssl_mode(), mode, "{host} {says}");
            assert_eq!(address.trust, trust, "{host} {says}");
            assert_eq!(address.config.get_dbname(), Some("d"));
        }
    }

    #[test]
    fn an_address_without_a_session_is_refused_in_words() {
        let pooler = "aws-0-eu-west-1.pooler.supabase.com";
        for (url, words) in [
            ("https://db.example.org", "is no address of a database"),
            ("postgresql://u:secret@h:port/d", "invalid value for option `port`"),
            ("postgresql://u:secret@h/d?colour=red", "unknown option `colour`"),
            ("postgresql://u:sec@ret@h/d", "%40"),
            ("postgresql://u:secret@h/d?sslmode=verify-ca", "sslrootcert"),
            ("postgresql://u:secret@h/d?sslmode=allow", "disable, prefer, require"),
            ("postgresql://u:secret@h/d?sslmode=require&sslrootcert=system", "verify-full only"),
            ("postgresql://u:secret@h:6543/d", "transaction pooler"),
            ("postgresql://u:secret@h/d?pgbouncer=true", "transaction pooler"),
            (&format!("postgresql://postgres.{REF}:secret@{pooler}:6543/d"), "session pooler"),
            (&format!("postgresql://postgres:secret@{pooler}:5432/d"), "postgres.<ref>"),
        ] {
            let error = DatabaseAddress::parse(url).err().unwrap_or_else(|| panic!("{url}"));
            let said = format!("{error:#}");
            assert!(said.contains(words), "{url}: {said}");
            assert!(!said.contains("sec"), "{said}");
        }
        parsed(&format!("postgresql://postgres.{REF}:w@{pooler}:5432/postgres"));
    }

    #[test]
    fn the_address_names_its_project() {
        for (url, project) in [
            ("postgres://postgres:p@db.abc.supabase.co:5432/postgres", Some("abc")),
            ("postgres://postgres.abc:p@aws-0.pooler.supabase.com:5432/postgres", Some("abc")),
            ("postgres://postgres.abc:p@db.example.org:5432/postgres", None),
            ("postgres://postgres:p@127.0.0.1:54322/postgres", None),
            ("postgres://postgres:p@db.a%2Fb.supabase.co/postgres", None),
        ] {
            assert_eq!(parsed(url).project().as_deref(), project, "{url}");
        }
    }
}
