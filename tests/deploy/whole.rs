//! The whole: `cargo xtask deploy` and `cargo xtask doctor` as programs in a fresh checkout with
//! two files, with an account whose Workers run and a project that is served.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use unstuck_tests::bare_project::BareProject;
use unstuck_tests::served_project::{ServedProject, SignedUp};
use xtask::process::{Process, ProcessSpec};
use xtask::{command, function, paths};

use crate::world::{Cloud, Values};

const GATEWAY: &str = "gateway.somebody.workers.dev";
const PROJECT: &str = "abcdefghijklmnopqrst.supabase.co";
const OPERATOR: SignedUp = SignedUp {
    id: "00000000-0000-4000-8000-0000000000f1",
    email: "operator@house.test",
    password: "password-1234",
};

const NOTHING: Vec<Value> = Vec::new();

/// The internet as the programs see it: the account with its Workers, the project, the providers.
struct DeployedInternet {
    cloud: Cloud,
    checkout: TempDir,
    port: u16,
    _edge: Process,
}

impl DeployedInternet {
    async fn start(hosted: &ServedProject) -> Self {
        let cloud = Cloud::start().await;
        let checkout = fresh_checkout();
        let hosts = ["*.somebody.workers.dev", PROJECT];
        let providers = [
            ("www.runninghub.ai", "runninghub"),
            ("api.replicate.com", "replicate"),
            ("generativelanguage.googleapis.com", "gemini"),
            ("api.anthropic.com", "llm"),
            ("api.stripe.com", "stripe"),
        ];
        let mut sites: serde_json::Map<String, Value> = providers
            .map(|(host, provider)| (host.to_owned(), json!(hosted.provider(provider))))
            .into_iter()
            .collect();
        sites.insert(PROJECT.to_owned(), json!(hosted.origin()));
        let names = hosts.iter().chain(providers.iter().map(|(host, _)| host));
        let names: Vec<String> = names.map(|name| (*name).to_owned()).collect();
        let identity = rcgen::generate_simple_self_signed(names).unwrap();
        let folder = checkout.path();
        std::fs::write(folder.join("authority.pem"), identity.cert.pem()).unwrap();
        let config = json!({
            "api": cloud.base.trim_end_matches("/client/v4"),
            "port": hosted.free_port(),
            "log": folder.join("edge-workers.log"),
            "key": identity.signing_key.serialize_pem(),
            "cert": identity.cert.pem(),
            "sites": sites,
        });
        let file = folder.join("edge.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut edge = Process::spawn(ProcessSpec {
            name: "edge",
            program: paths::node_bin("node"),
            args: vec![paths::root().join("stand-ins/src/cloudflare/edge.mjs").into(), file.into()],
            log: folder.join("edge.log"),
            ..ProcessSpec::default()
        })
        .unwrap();
        let port = hosted.free_port();
        let listens =
            || async { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() };
        edge.wait_ready(Duration::from_secs(30), listens).await.unwrap();
        Self { cloud, checkout, port, _edge: edge }
    }

    fn write(&self, values: &Values) {
        let (settings, secrets) = values.texts();
        let folder = self.checkout.path().join("deploy");
        std::fs::write(folder.join("whole.toml"), settings).unwrap();
        // The first deploy adds two secrets to the file; they stay in it.
        let path = folder.join("whole.secrets");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let made = before
            .lines()
            .filter(|line| line.starts_with("WEBHOOK_SECRET=") || line.starts_with("CRON_SECRET="));
        let made: String = made.map(|line| format!("{line}\n")).collect();
        std::fs::write(path, secrets + &made).unwrap();
    }

    /// A task of the checkout, as a person runs it.
    fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(paths::target_host().join("debug/xtask"));
        command
            .args(args)
            .current_dir(self.checkout.path())
            .env("CARGO_MANIFEST_DIR", self.checkout.path().join("xtask"))
            .env("CLOUDFLARE_API_BASE_URL", &self.cloud.base)
            .env("HTTPS_PROXY", format!("http://127.0.0.1:{}", self.port))
            .env("SSL_CERT_FILE", self.checkout.path().join("authority.pem"))
            .env("UNSTUCK_SKIP_BUILD", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for name in ["HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        command.env_remove("https_proxy");
        command
    }

    /// Kills a deploy while it makes the Workers. Returns how many Workers exist.
    async fn kill_amid_workers(&self) -> usize {
        let count = || self.cloud.account.view()["scripts"].as_object().map_or(0, |all| all.len());
        let mut deploy = self.command(&["deploy", "whole"]).spawn().unwrap();
        while count() < 4 {
            assert_eq!(deploy.try_wait().unwrap(), None, "it ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        deploy.kill().await.unwrap();
        count()
    }

    /// Runs a task to its end. Returns whether it succeeded, and its output.
    async fn xtask(&self, args: &[&str]) -> (bool, String) {
        let began = Instant::now();
        let output = self.command(args).output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        println!("$ {} ({:?})\n{said}", args.join(" "), began.elapsed());
        (output.status.success(), said)
    }

    async fn deploys(&self) -> String {
        let (well, said) = self.xtask(&["deploy", "whole"]).await;
        assert!(well, "{said}");
        assert!(!said.contains("LACKING"), "{said}");
        said
    }

    /// The findings of the doctor that are not good.
    async fn lacks(&self) -> Vec<Value> {
        let (well, said) = self.xtask(&["doctor", "whole", "--json"]).await;
        let document = &said[said.find('{').unwrap()..=said.rfind('}').unwrap()];
        let document: Value = serde_json::from_str(document).unwrap();
        assert_eq!(document["ok"], well);
        let found = document["findings"].as_array().unwrap();
        assert!(found.len() >= 20, "{found:#?}");
        found.iter().filter(|finding| finding["ok"] == false).cloned().collect()
    }
}

/// A checkout with this one's code and built wasm, but without the files, keys and state of a
/// deployment.
fn fresh_checkout() -> TempDir {
    let folder = TempDir::new().unwrap();
    for entry in paths::root().read_dir().unwrap().flatten() {
        let name = entry.file_name();
        let own = [".git", ".local", "deploy", "target"].iter().any(|own| name == *own);
        if !own {
            std::os::unix::fs::symlink(entry.path(), folder.path().join(&name)).unwrap();
        }
    }
    let deploy = folder.path().join("deploy");
    std::fs::create_dir(&deploy).unwrap();
    for file in ["example.toml", "example.secrets"] {
        std::fs::copy(paths::root().join("deploy").join(file), deploy.join(file)).unwrap();
    }
    folder
}

fn build_xtask() {
    let mut build = command::cargo(&["build", "--quiet", "--package", "xtask"]);
    command::run_quiet("compile xtask", &mut build, "fix the error below").unwrap();
    if std::env::var_os("UNSTUCK_SKIP_BUILD").is_none() {
        xtask::build::functions(&xtask::build::all().unwrap()).unwrap();
    }
}

/// An operator's twelve values, and the e-mail address of the first admin.
fn values(hosted: &ServedProject, database: &str) -> Values {
    let values = Values::needed()
        .with("DATABASE_URL", database)
        .with("SUPABASE_ANON_KEY", &hosted.keys.publishable_key)
        .with("SUPABASE_SERVICE_ROLE_KEY", &hosted.keys.secret_key)
        .with("RUNNINGHUB_API_KEY", "rh-local-key")
        .with("REPLICATE_API_TOKEN", "r8_local_token")
        .with("GEMINI_API_KEY", "gemini-local-key")
        .with("LLM_API_KEY", "llm-local-key");
    assert_eq!(values.len(), 12);
    values.with("admin_email", OPERATOR.email)
}

fn uploads(said: &str) -> Vec<&str> {
    said.lines().filter(|line| line.contains("done: ") && line.contains("deploy it")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_checkout_with_twelve_values_comes_up_changes_heals_and_goes_back() {
    build_xtask();
    let bare = BareProject::start().await;
    let database = bare.database().await;
    let state = TempDir::new().unwrap();
    let hosted = ServedProject::start(&database, state.path(), &OPERATOR).await;
    let internet = DeployedInternet::start(&hosted).await;
    let values = values(&hosted, &database.url());
    internet.write(&values);
    internet.cloud.account.refuse_every(89, 429);
    a_missing_value_is_told_and_nothing_is_done(&internet, &values).await;
    let before = internet.kill_amid_workers().await;
    let said = internet.deploys().await;
    let functions = function::all().unwrap();
    assert!(uploads(&said).len() + before >= functions.len(), "{said}");
    assert!(uploads(&said).len() < functions.len(), "{said}");
    assert!(said.contains(&format!("whole is at https://{GATEWAY}/")), "{said}");
    assert_eq!(internet.lacks().await, NOTHING);

    // A second deploy changes nothing.
    let before = internet.cloud.account.view();
    let said = internet.deploys().await;
    assert!(said.contains("nothing differed, nothing was changed"), "{said}");
    assert!(!said.contains("xtask: done: "), "{said}");
    assert_eq!(internet.cloud.account.view(), before);

    // After one value is changed, only its reader is deployed. A person needs more than five
    // minutes for all this, so the calls before count no more towards the API's limit.
    internet.cloud.account.let_calls_grow_old();
    let values = values.with("PURCHASE_RETURN_HOSTS", "shop.house.test");
    internet.write(&values);
    let said = internet.deploys().await;
    let changed = uploads(&said);
    assert!(changed.len() == 1 && changed[0].contains("purchase-checkout: "), "{said}");

    faults_are_named_and_a_deploy_mends_them(&internet).await;
    internet.cloud.account.let_calls_grow_old();
    a_bad_deploy_is_told_and_taken_back(&internet, values).await;
    assert_eq!(internet.cloud.account.unknown(), Vec::<String>::new());
}

async fn a_missing_value_is_told_and_nothing_is_done(internet: &DeployedInternet, values: &Values) {
    internet.write(&values.clone().without("LLM_API_KEY"));
    let (well, said) = internet.xtask(&["deploy", "whole"]).await;
    assert!(!well && said.contains("LLM_API_KEY: missing"), "{said}");
    assert!(said.contains("1 fault; nothing was changed"), "{said}");
    assert_eq!(internet.cloud.account.writes(), Vec::<String>::new());
    internet.write(values);
}

/// At Cloudflare a secret is changed, a cron is removed, and an old Worker is left.
async fn faults_are_named_and_a_deploy_mends_them(internet: &DeployedInternet) {
    let account = &internet.cloud.account;
    account.change_secret("replicate-async-worker", "WEBHOOK_SECRET", "of-another-deployment");
    account.remove_crons("cleanup-stale-jobs");
    account.add_copy("purchase-webhook", "retired-tool");
    let lacks = internet.lacks().await;
    for (subject, words) in [
        ("WEBHOOK_SECRET", "another value than yours in replicate-async-worker"),
        ("Worker replicate-async-worker", "somebody else made the version"),
        ("Worker cleanup-stale-jobs", "not as its version says: crons"),
    ] {
        let told = lacks.iter().find(|lack| lack["subject"] == subject);
        let told = told.unwrap_or_else(|| panic!("{subject}: {lacks:#?}"));
        assert!(told["words"].as_str().unwrap().contains(words), "{told}");
        assert_eq!(told["cure"], "cargo xtask deploy whole");
    }
    // The webhook's address that the function would give out is refused too, and no other finding
    // is reported.
    assert!(lacks.len() <= 4, "{lacks:#?}");

    let said = internet.deploys().await;
    let changed = uploads(&said);
    assert!(changed.len() == 1 && changed[0].contains("replicate-async-worker: "), "{said}");
    assert!(said.contains("done: cleanup-stale-jobs: set crons"), "{said}");
    assert!(said.contains("the Worker retired-tool is of this deployment"), "{said}");
    assert!(account.view()["scripts"]["retired-tool"].is_object());
}

/// A value that is well-formed and wrong: the deploy ends with an error, and a rollback brings the
/// deployment before it back. The doctor finds that one good, although the file still has the wrong
/// value.
async fn a_bad_deploy_is_told_and_taken_back(internet: &DeployedInternet, values: Values) {
    let good = internet.cloud.account.view();
    internet.write(&values.with("SUPABASE_ANON_KEY", "sb_publishable_of_nobody"));
    let (well, said) = internet.xtask(&["deploy", "whole"]).await;
    assert!(!well && said.contains("LACKING  SUPABASE_ANON_KEY: it is no key"), "{said}");

    let (well, said) = internet.xtask(&["deploy", "whole", "--rollback"]).await;
    assert!(well && !said.contains("LACKING"), "{said}");
    let newer = "your files hold other ones of SUPABASE_ANON_KEY, and cargo xtask deploy whole";
    assert!(said.contains(newer), "{said}");
    assert_eq!(internet.cloud.account.view(), good);
    assert_eq!(internet.lacks().await, NOTHING);
}
