//! The connection to a remote database: it is encrypted unless the URL says otherwise, and checks
//! the server as strictly as the URL asks.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use xtask::deploy::deployment::Deployment;
use xtask::deploy::project::{BringUp, bring_up};
use xtask::postgres::{self, Options, Postgres};

/// A certificate authority that has signed the certificate of one server.
struct Authority {
    certificate: String,
    server_certificate: String,
    server_key: String,
}

impl Authority {
    fn of(host: &str) -> Self {
        let mut own = CertificateParams::default();
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        own.distinguished_name.push(DnType::CommonName, "Authority of a test");
        let key = KeyPair::generate().unwrap();
        let certificate = own.self_signed(&key).unwrap().pem();
        let server = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let server_key = KeyPair::generate().unwrap();
        let signed = server.signed_by(&server_key, &Issuer::new(own, key)).unwrap();
        Self {
            certificate,
            server_certificate: signed.pem(),
            server_key: server_key.serialize_pem(),
        }
    }
}

struct TlsServer {
    postgres: Postgres,
    port: u16,
}

impl TlsServer {
    async fn start() -> Self {
        let options = Options::for_tests().unwrap();
        let port = options.port;
        Self { postgres: Postgres::start(options).await.unwrap(), port }
    }

    /// The URL with another name for the host, and `says` as its query.
    fn url(&self, host: &str, says: &str) -> String {
        format!("postgresql://postgres:hush@{host}:{}/postgres?{says}", self.port)
    }

    /// Gives the server TLS. The user `sworn` has a password and may connect only by TLS.
    async fn encrypt(&self, authority: &Authority) {
        let client = postgres::connect(&self.postgres.url("postgres")).await.unwrap();
        let row = client.query_one("show data_directory", &[]).await.unwrap();
        let data = Path::new(row.get::<_, &str>(0));
        write(data, "server.crt", &authority.server_certificate);
        write(data, "server.key", &authority.server_key);
        let rules = std::fs::read_to_string(data.join("pg_hba.conf")).unwrap();
        let own = "hostssl all sworn all scram-sha-256\nhost all sworn all reject\n";
        write(data, "pg_hba.conf", &format!("{own}{rules}"));
        for sql in [
            "create role sworn login password 'hush'",
            "alter system set ssl = on",
            "select pg_reload_conf()",
        ] {
            client.batch_execute(sql).await.unwrap();
        }
        // A new session has the settings that the server read last.
        for _ in 0..500 {
            let client = postgres::connect(&self.postgres.url("postgres")).await.unwrap();
            let row = client.query_one("show ssl", &[]).await.unwrap();
            if row.get::<_, &str>(0) == "on" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server has no TLS");
    }
}

/// Writes a file that belongs to the server's own user.
fn write(data: &Path, name: &str, text: &str) {
    let (path, owner) = (data.join(name), std::fs::metadata(data).unwrap());
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

/// Whether a session is encrypted, or the error if none was opened.
async fn session(url: &str) -> Result<bool, String> {
    let client = postgres::connect(url).await.map_err(|error| format!("{error:#}"))?;
    let own = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    Ok(client.query_one(own, &[]).await.unwrap().get(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_gets_a_password_only_where_the_address_says_so() {
    let server = TlsServer::start().await;
    let elsewhere = "db.example.org";
    for (host, says) in [
        ("127.0.0.1", ""),
        ("localhost", "sslmode=prefer"),
        (elsewhere, "hostaddr=127.0.0.1&sslmode=disable"),
        (elsewhere, "hostaddr=127.0.0.1&sslmode=prefer"),
    ] {
        assert_eq!(session(&server.url(host, says)).await, Ok(false), "{host} {says}");
    }
    for (host, says) in [
        (elsewhere, "hostaddr=127.0.0.1"),
        ("localhost", "sslmode=require"),
        ("localhost", "sslmode=verify-full"),
    ] {
        let said = session(&server.url(host, says)).await.unwrap_err();
        assert!(said.contains("the server has no TLS"), "{host} {says}: {said}");
        assert!(said.contains("?sslmode=disable") && !said.contains("hush"), "{said}");
    }

    let mut deployment = Deployment { name: "shop".to_owned(), ..Deployment::default() };
    deployment.access.database_url = server.url(elsewhere, "hostaddr=127.0.0.1");
    let said = format!("{:#}", bring_up(&deployment, BringUp::default()).await.unwrap_err());
    assert!(said.starts_with("DATABASE_URL: cannot connect to db.example.org"), "{said}");
    assert!(said.contains("?sslmode=disable"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_certificate_is_judged_as_the_address_asks() {
    let server = TlsServer::start().await;
    let folder = TempDir::new().unwrap();
    let file = |name: &str, authority: &Authority| {
        let path = folder.path().join(name);
        std::fs::write(&path, &authority.certificate).unwrap();
        format!("sslrootcert={}", path.display())
    };
    let authority = Authority::of("localhost");
    let (own, other) =
        (file("own.crt", &authority), file("other.crt", &Authority::of("localhost")));
    server.encrypt(&authority).await;

    for (host, says, encrypted) in [
        ("127.0.0.1", String::new(), true),
        ("localhost", "sslmode=prefer".to_owned(), true),
        ("localhost", "sslmode=require".to_owned(), true),
        ("localhost", "sslmode=disable".to_owned(), false),
        ("db.example.org", "hostaddr=127.0.0.1".to_owned(), true),
        ("localhost", format!("sslmode=verify-full&{own}"), true),
        ("127.0.0.1", format!("sslmode=verify-ca&{own}"), true),
        ("127.0.0.1", format!("sslmode=require&{own}"), true),
    ] {
        assert_eq!(session(&server.url(host, &says)).await, Ok(encrypted), "{host} {says}");
    }
    for (host, says, words) in [
        ("localhost", format!("sslmode=verify-full&{other}"), "sslrootcert does not vouch"),
        ("localhost", format!("sslmode=verify-ca&{other}"), "sslrootcert does not vouch"),
        ("localhost", format!("sslmode=require&{other}"), "sslrootcert does not vouch"),
        ("127.0.0.1", format!("sslmode=verify-full&{own}"), "is for another host"),
        ("localhost", "sslmode=verify-full".to_owned(), "no public authority vouches"),
        ("localhost", "sslmode=verify-full&sslrootcert=/no/file".to_owned(), "/no/file"),
        ("localhost", format!("sslmode=verify-full&sslrootcert={}", file!()), file!()),
    ] {
        let said = session(&server.url(host, &says)).await.unwrap_err();
        assert!(said.contains(words), "{host} {says}: {said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_bound_to_the_encrypted_channel() {
    let server = TlsServer::start().await;
    server.encrypt(&Authority::of("localhost")).await;
    let url = |says: &str| server.url("localhost", says).replace("postgres:hush", "sworn:hush");
    assert_eq!(session(&url("channel_binding=require")).await, Ok(true));
    let said = session(&url("sslmode=disable")).await.unwrap_err();
    assert!(said.contains("add `?sslmode=require`"), "{said}");
    let said = session(&url("").replace("sworn:hush", "sworn:other")).await.unwrap_err();
    assert!(said.contains("the password in the address is wrong"), "{said}");
}

#[tokio::test]
async fn a_direct_host_that_is_out_of_reach_leads_to_the_pooler() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = "db.abcdefghijklmnopqrst.supabase.co";
    let url = format!("postgresql://postgres:hush@{host}:{closed}/postgres?hostaddr=127.0.0.1");
    let said = session(&url).await.unwrap_err();
    assert!(said.contains("IPv6") && said.contains("Session pooler"), "{said}");
}
