//! A running Supabase project on a bare database: PostgREST's protocol, sign-in, storage and
//! Realtime as the platform runs them, and the stand-ins of the providers.
//!
//! PostgREST serves the schemas that a new project exposes, until its role's settings name others
//! and PostgREST reloads them. The platform's PostgREST reloads them by itself; the local one is
//! restarted. Source: PostgREST, src/library/PostgREST/Config/Database.hs.

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use stand_ins::config::StandInConfig;
use tokio::net::TcpStream;
use tokio_postgres::{AsyncMessage, NoTls};
use xtask::keys::LocalKeys;
use xtask::process::{Process, ProcessSpec};
use xtask::{stack, tools};

use crate::bare_project::BareDatabase;

/// The schemas that a new project exposes.
const EXPOSED: &str = "public, graphql_public";
const OF_ROLE: &str = "
    select substr(c.setting, length('pgrst.db_schemas=') + 1)
    from pg_catalog.pg_db_role_setting s
    join pg_catalog.pg_roles r on r.oid = s.setrole and r.rolname = 'authenticator'
    cross join unnest(s.setconfig) as c (setting)
    where c.setting like 'pgrst.db\\_schemas=%'";

/// A user who has signed up.
pub struct SignedUp {
    pub id: &'static str,
    pub email: &'static str,
    pub password: &'static str,
}

pub struct ServedProject {
    port_base: u16,
    pub keys: LocalKeys,
}

impl ServedProject {
    /// Serves until the runtime ends, and keeps its files in `folder`.
    pub async fn start(database: &BareDatabase<'_>, folder: &Path, user: &SignedUp) -> Self {
        let port_base = stack::free_port_base().expect("free ports");
        let keys = LocalKeys::load(folder).expect("keys");
        let SignedUp { id, email, password } = user;
        let sign_up = format!(
            "insert into auth.users (id, email, email_confirmed_at)
            values ('{id}', '{email}', now())"
        );
        database.platform().await.exec(&sign_up).await;
        let authenticator =
            database.url().replacen("postgres:postgres@", "authenticator:authenticator@", 1);
        let storage = folder.join("storage");
        std::fs::create_dir_all(&storage).expect("a folder");
        let config: StandInConfig = serde_json::from_value(json!({
            "port_base": port_base,
            "jwt_secret": keys.jwt_secret,
            "anon_key": keys.anon_key,
            "service_role_key": keys.service_role_key,
            "publishable_key": keys.publishable_key,
            "secret_key": keys.secret_key,
            "es256_private_pem": keys.es256_private_pem,
            "users": [{ "id": id, "email": email, "password": password }],
            "storage_dir": storage,
            "database_url": authenticator,
            "runninghub_apps": ["2011", "2012", "2013", "2014", "2015"],
        }))
        .expect("a configuration");
        tokio::spawn(stand_ins::run(config));
        let rest = Rest {
            port: port_base + 4,
            database: authenticator,
            secret: keys.jwks_with_secret().expect("keys"),
            log: folder.join("postrust.log"),
        };
        tokio::spawn(rest.serve());
        let project = Self { port_base, keys };
        for port in [1, 3, 4] {
            project.wait_for(port).await;
        }
        project
    }

    async fn wait_for(&self, offset: u16) {
        let port = self.port_base + offset;
        for _ in 0..1500 {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nothing listens on the port {port}");
    }

    /// The project's URL on this machine.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port_base + 1)
    }

    /// The URL of a provider's stand-in on this machine.
    pub fn provider(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port_base + 3)
    }

    /// A port that nothing else uses.
    pub fn free_port(&self) -> u16 {
        self.port_base + 6
    }
}

/// The local PostgREST, with what the platform adds to it.
struct Rest {
    port: u16,
    database: String,
    secret: String,
    log: PathBuf,
}

impl Rest {
    async fn serve(self) {
        let (client, mut connection) =
            tokio_postgres::connect(&self.database, NoTls).await.expect("the database");
        let (told, mut asked) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(note) = message
                    && note.payload() == "reload config"
                {
                    let _ = told.send(());
                }
            }
        });
        client.batch_execute("listen pgrst").await.expect("to listen");
        loop {
            let rows = client.query(OF_ROLE, &[]).await.expect("the settings of a role");
            let of_role = rows.first().map(|row| row.get::<_, String>(0));
            let _process = self.spawn(&of_role.unwrap_or_else(|| EXPOSED.to_owned()));
            if asked.recv().await.is_none() {
                return;
            }
        }
    }

    fn spawn(&self, schemas: &str) -> Process {
        let env = [
            ("PGRST_DB_URI", self.database.clone()),
            ("PGRST_DB_SCHEMAS", schemas.replace(' ', "")),
            ("PGRST_DB_ANON_ROLE", "anon".into()),
            ("PGRST_DB_POOL", "60".into()),
            ("PGRST_JWT_SECRET", self.secret.clone()),
            ("PGRST_SERVER_HOST", "127.0.0.1".into()),
            ("PGRST_SERVER_PORT", self.port.to_string()),
            ("PGRST_COMPAT_MODE", "true".into()),
            ("PGRST_DB_ERRORS_VERBATIM", "true".into()),
            ("PGRST_DB_CHANNEL_ENABLED", "true".into()),
            ("RUST_BACKTRACE", "0".into()),
            ("NO_COLOR", "1".into()),
        ];
        Process::spawn(ProcessSpec {
            name: "postrust",
            program: tools::postrust(),
            env: env.map(|(name, value)| (name.to_owned(), value)).into(),
            log: self.log.clone(),
            ..ProcessSpec::default()
        })
        .expect("PostgREST starts")
    }
}
