//! Every fault of the two files is named at once, without any secret.

use base64::Engine as _;
use xtask::deploy::deployment::Deployment;
use xtask::deploy::fetch::ServiceAddresses;

use crate::world::{ACCOUNT, Folder, SECRETS, Values};

fn faults(values: &Values) -> String {
    let folder = Folder::new();
    folder.write("faulty", values);
    match folder.read("faulty") {
        Ok(_) => String::new(),
        Err(error) => format!("{error:#}"),
    }
}

fn token(claims: &str) -> String {
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.x", encode("{}"), encode(claims))
}

#[test]
fn the_needed_values_have_no_fault() {
    assert_eq!(faults(&Values::needed()), "");
    let folder = Folder::new();
    folder.write("right", &Values::needed());
    let mut deployment = folder.read("right").unwrap();
    assert_eq!(deployment.vars["DEPLOYMENT_ID"], "right");
    assert_eq!(deployment.vars["RESULTS_BUCKET"], "results");
    assert!(deployment.gateway_url().is_err());
    assert!(!deployment.secrets.contains_key("DATABASE_URL"));

    // A secret that was made once is not made again.
    let made = deployment.make_secrets().unwrap();
    assert_eq!(made, ["WEBHOOK_SECRET", "CRON_SECRET"]);
    deployment.keep_secrets(folder.0.path(), &made).unwrap();
    let mut later = folder.read("right").unwrap();
    assert_eq!(later.make_secrets().unwrap(), Vec::<&str>::new());
    assert_eq!(later.secrets, deployment.secrets);
}

#[test]
fn each_fault_of_a_value_is_named_without_the_value() {
    let of_another = token(r#"{"role":"service_role","ref":"otherotherotherother"}"#);
    let anon = token(r#"{"role":"anon","ref":"abcdefghijklmnopqrst"}"#);
    let apps = r#"{"runninghub-upscaler":{"standard":"1900000000000000001"}}"#;
    for (name, value) in [
        ("account_id", "0123"),
        ("prefix", "Staging_"),
        ("prefix", "a-prefix-that-leaves-no-letters-for-the-names-"),
        ("admin_email", "somebody"),
        ("SUPABASE_URL", "http://abcdefghijklmnopqrst.supabase.co"),
        ("SUPABASE_URL", "https://<ref>.supabase.co"),
        ("SUPABASE_URL", "https://project.example.invalid"),
        ("SUPABASE_ANON_KEY", "sb_publishable_example"),
        ("SUPABASE_ANON_KEY", "sb_secret_of_the_project"),
        ("SUPABASE_SERVICE_ROLE_KEY", "sb_publishable_of_the_project"),
        ("SUPABASE_SERVICE_ROLE_KEY", &anon),
        ("SUPABASE_SERVICE_ROLE_KEY", &of_another),
        ("RUNNINGHUB_APPS", apps),
        ("RUNNINGHUB_APPS", "{half"),
        ("FUNCTIONS_URL", "https://abcdefghijklmnopqrst.supabase.co/functions/v1"),
        ("FUNCTIONS_URL", "https://gateway.somebody.workers.dev"),
        ("DATABASE_URL", "abcdefghijklmnopqrst"),
        ("DATABASE_URL", "postgresql://postgres:[YOUR-PASSWORD]@db.a.supabase.co:5432/postgres"),
        ("DATABASE_URL", "postgresql://postgres:w@db.otherotherotherother.supabase.co/postgres"),
        ("DATABASE_URL", "postgresql://postgres.otherotherotherother:w@pool.supabase.com:5432/a"),
        (
            "DATABASE_URL",
            "postgresql://postgres.abcdefghijklmnopqrst:w@pool.supabase.com:6543/postgres",
        ),
        ("REPLICATE_WEBHOOK_SECRET", "whsec_…"),
        ("REPLICATE_WEBHOOK_SECRET", "of_replicate"),
        ("WEBHOOK_SECRET", "short"),
        ("LLM_KIND", "some-model"),
        ("PLACEMENT_REGION", "virginia"),
        ("DEPLOYMENT_ID", "with:colons"),
        ("SUPABASE_ULR", "https://abcdefghijklmnopqrst.supabase.co"),
    ] {
        let said = faults(&Values::needed().with(name, value));
        assert!(said.contains(&format!("- {name}: ")), "{name} = {value}: {said}");
        assert!(said.contains("1 fault;"), "{name} = {value}: {said}");
        let is_secret = SECRETS.iter().any(|(secret, _)| *secret == name);
        assert!(!is_secret || !said.contains(value), "{said}");
    }
    let said = faults(&Values::needed().with("SUPABASE_ULR", "x"));
    assert!(said.contains("is SUPABASE_URL meant?"), "{said}");
}

#[test]
fn every_fault_is_named_at_once() {
    let values = Values::needed()
        .with("SUPABASE_URL", "https://project.example.invalid")
        .with("STRIPE_API_KEY", "rk_live_of_the_seller")
        .with("WEBHOOK_SECRET", "a-secret-that-signs-webhooks")
        .with("WEBHOOK_SECRET_PREVIOUS", "a-secret-that-signs-webhooks")
        .with("OUTGOING_WEBHOOK_URL", "https://app.example/hook")
        .without("GEMINI_API_KEY")
        .without("account_id");
    let said = faults(&values);
    assert!(said.contains("6 faults; nothing was changed"), "{said}");
    for name in [
        "SUPABASE_URL",
        "PURCHASE_LIVE",
        "WEBHOOK_SECRET_PREVIOUS",
        "OUTGOING_WEBHOOK_SECRETS",
        "GEMINI_API_KEY",
        "account_id",
    ] {
        assert!(said.contains(&format!("- {name}: ")), "{name}: {said}");
    }
}

#[test]
fn two_deployments_of_one_account_have_two_prefixes() {
    let folder = Folder::new();
    folder.write("production", &Values::needed());
    folder.write("staging", &Values::needed());
    let said = format!("{:#}", folder.read("staging").err().unwrap());
    assert!(said.contains("- prefix: the deployment production"), "{said}");
    folder.write("staging", &Values::needed().with("prefix", "staging-"));
    assert_eq!(folder.read("staging").unwrap().worker("gateway"), "staging-gateway");
    assert_eq!(folder.read("production").unwrap().account_id, ACCOUNT);
}

#[tokio::test]
async fn the_committed_example_is_refused_for_its_placeholders_alone() {
    let folder = Folder::new();
    let example = xtask::deploy::folder();
    for kind in ["toml", "secrets"] {
        let text = std::fs::read_to_string(example.join(format!("example.{kind}"))).unwrap();
        std::fs::write(folder.0.path().join(format!("mine.{kind}")), text).unwrap();
    }
    let nobody =
        ServiceAddresses { cloudflare: String::new(), supabase: String::new(), replicate: None };
    let read = Deployment::complete(folder.0.path(), "mine", &nobody).await;
    let said = format!("{:#}", read.err().unwrap());
    for line in said.lines().skip(1) {
        assert!(line.contains(": is a placeholder (mine."), "{line}");
    }
    // The number of values that an operator writes; docs/deploying.md names it too.
    assert_eq!(said.lines().count(), 1 + 9, "{said}");
}

/// Writes the two files, with the line in place of the one with that name, or added. Returns the
/// file and the line's number.
fn written(name: &str, line: &str) -> (Folder, &'static str, usize) {
    let folder = Folder::new();
    folder.write("shop", &Values::needed());
    let is_public = ["prefix", "account_id", "admin_email", "acount_id"].contains(&name)
        || line.contains(" = ");
    let kind = if is_public { "toml" } else { "secrets" };
    let path = folder.0.path().join(format!("shop.{kind}"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let is_of = |known: &&str| known.split(['=', ' ']).next() == Some(name);
    let at = match lines.iter().position(is_of) {
        Some(at) => {
            lines[at] = line;
            at
        }
        None if is_public && !line.starts_with(|c: char| c.is_ascii_uppercase()) => {
            lines.insert(0, line);
            0
        }
        None => {
            lines.push(line);
            lines.len() - 1
        }
    };
    std::fs::write(path, lines.join("\n")).unwrap();
    (folder, kind, at + 1)
}

/// A wrong line of a file: its name, the line, and a part of the fault's words.
const WRONG: [(&str, &str, &str); 48] = [
    ("account_id", "account_id = '0123456789abcdef0123456789abcde'", "32 hexadecimal digits"),
    ("account_id", "account_id = '0123456789abcdef0123456789abcdef '", "32 hexadecimal digits"),
    ("acount_id", "acount_id = '0123456789abcdef0123456789abcdef'", "is account_id meant?"),
    ("account_id", "account_id = 12", "as a text"),
    ("prefix", "prefix = 'Staging-'", "small letters"),
    ("prefix", "prefix = 'staging/'", "small letters"),
    ("prefix", "prefix = '-staging'", "starts with no `-`"),
    ("prefix", "prefix = 'a-prefix-of-thirty-two-letters---'", "would be over 63"),
    ("admin_email", "admin_email = 'owner@'", "no e-mail address"),
    ("admin_email", "admin_email = 'owner@shop'", "no e-mail address"),
    ("admin_email", "admin_email = 'Owner <owner@shop.example>'", "placeholder"),
    ("admin_email", "admin_email = 'a@shop.example, b@shop.example'", "no e-mail address"),
    ("SUPABASE_URL", "SUPABASE_URL = 'https://abcdefghijklmnopqrst.supabase.co/rest/v1'", "behind"),
    ("SUPABASE_URL", "SUPABASE_URL = 'http://abcdefghijklmnopqrst.supabase.co'", "https://"),
    ("SUPABASE_URL", "SUPABASE_URL = 'abcdefghijklmnopqrst.supabase.co'", "https://"),
    ("SUPABASE_URL", "SUPABASE_URL = 'https://supabase.com/dashboard/project/abc'", "<ref>"),
    ("SUPABASE_ULR", "SUPABASE_ULR = 'https://abc.supabase.co'", "is SUPABASE_URL meant?"),
    ("SUPABASE_ANON_KEY", "SUPABASE_ANON_KEY = 'sb_secret_of_the_project'", "sb_publishable_"),
    ("SUPABASE_ANON_KEY", "SUPABASE_ANON_KEY = '\"sb_publishable_1\"'", "quotes inside"),
    ("SUPABASE_ANON_KEY", "SUPABASE_ANON_KEY = \"sb_publishable\\n_1\"", "end of a line"),
    ("SUPABASE_ANON_KEY", "SUPABASE_ANON_KEY = 'sb_publishable 1'", "holds a space"),
    ("LLM_STALL_MS", "LLM_STALL_MS = 10", "between 1000 and 900000"),
    ("SUBREQUEST_BUDGET", "SUBREQUEST_BUDGET = 100000", "between 50 and 10000"),
    ("LLM_MAX_TOKENS", "LLM_MAX_TOKENS = -1", "whole number"),
    ("ALLOW_ANONYMOUS_USERS", "ALLOW_ANONYMOUS_USERS = 'perhaps'", "`true` or `false`"),
    ("ALLOWED_INPUT_HOSTS", "ALLOWED_INPUT_HOSTS = 'https://cdn.example'", "host names"),
    ("LOGS_URL", "LOGS_URL = 'https://dash.example/logs'", "{jobId}"),
    ("BUY_URL", "BUY_URL = 'http://shop.example/buy'", "https://"),
    ("GEMINI_API_KEY", "GEMINI_API_KEY = 'key-of-gemini'", "stands in the secrets"),
    ("STRIPE_API_KEY", "STRIPE_API_KEY=pk_live_of_the_seller", "rk_live_"),
    ("PURCHASE_STRIPE_SECRETS", "PURCHASE_STRIPE_SECRETS=of_the_endpoint", "whsec_"),
    ("REPLICATE_WEBHOOK_SECRET", "REPLICATE_WEBHOOK_SECRET=r8_token", "whsec_"),
    ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SERVICE_ROLE_KEY=sb_publishable_1", "sb_secret_"),
    ("SUPABASE_ACCESS_TOKEN", "SUPABASE_ACCESS_TOKEN=sb_secret_1", "sbp_"),
    ("CRON_SECRET", "CRON_SECRET=short", "shorter than 24"),
    ("LLM_API_KEY", "LLM_API_KEY=\"key-of-the-model", "quote at one end"),
    ("LLM_API_KEY", "LLM_API_KEY=key-of-the-model # production", "comment behind"),
    ("LLM_API_KEY", "LLM_API_KEY=Bearer key-of-the-model", "holds a space"),
    ("LLM_API_KEY", "LLM_API_KEY=\u{201c}key-of-the-model\u{201d}", "not ASCII"),
    ("GEMINI_API_KEY_2", "GEMINI_API_KEY_2=key-of-gemini", "same as GEMINI_API_KEY"),
    ("GEMINI_API_KEY_3", "GEMINI_API_KEY_3=key-of-gemini", "is GEMINI_API_KEY_2 meant?"),
    ("RESULTS_BUCKET", "RESULTS_BUCKET=results", "belongs under [settings]"),
    ("a line", "export LLM_API_KEY=key-of-the-model", "is not NAME=value"),
    ("a line", "LLM_API_KEY: key-of-the-model", "is not NAME=value"),
    ("DATABASE_URL", "DATABASE_URL=https://abcdefghijklmnopqrst.supabase.co", "no address"),
    ("DATABASE_URL", "DATABASE_URL=postgresql://postgres:se@cret@db.a.org:5432/postgres", "%40"),
    (
        "DATABASE_URL",
        "DATABASE_URL=postgresql://u:w@db.a.org/d?sslmode=always",
        "sslmode is one of",
    ),
    ("DATABASE_URL", "DATABASE_URL=postgresql://u:w@db.a.org/d?sslrootcert=/no/file", "/no/file"),
];

#[test]
fn each_wrong_value_is_named_with_its_file_and_line() {
    let mut unlike = String::new();
    for (name, line, words) in WRONG {
        let (folder, kind, number) = written(name, line);
        let said = format!("{:#}", folder.read("shop").err().unwrap_or_else(|| panic!("{line}")));
        let place = format!("(shop.{kind}, line {number})");
        let start = format!("  - {name}: ");
        let is_named = said
            .lines()
            .any(|said| said.starts_with(&start) && said.contains(words) && said.ends_with(&place));
        let value = line.split_once('=').map_or("", |(_, value)| value.trim());
        let is_shown = kind == "secrets" && value.len() > 8 && said.contains(value);
        if !is_named || is_shown || said.lines().count() != 2 {
            unlike += &format!("\n{line}: expected {words} {place}: {said}");
        }
    }
    assert_eq!(unlike, "");
}

#[test]
fn values_that_contradict_each_other_are_named_with_file_and_line() {
    let of_another = token(r#"{"role":"service_role","ref":"otherotherotherother"}"#);
    let secret = "a-secret-that-signs-webhooks";
    for (values, name, words) in [
        (
            Values::needed().with("SUPABASE_SERVICE_ROLE_KEY", &of_another),
            "SUPABASE_SERVICE_ROLE_KEY",
            "of the project otherotherotherother",
        ),
        (
            Values::needed().with("STRIPE_API_KEY", "rk_live_1").with("PURCHASE_LIVE", "false"),
            "PURCHASE_LIVE",
            "STRIPE_API_KEY is a live one",
        ),
        (
            Values::needed().with("STRIPE_API_KEY", "sk_test_1").with("PURCHASE_LIVE", "true"),
            "PURCHASE_LIVE",
            "of the test mode",
        ),
        (
            Values::needed().with("WEBHOOK_SECRET", secret).with("CRON_SECRET", secret),
            "CRON_SECRET",
            "same as WEBHOOK_SECRET",
        ),
    ] {
        let said = faults(&values);
        let named = said.lines().find(|said| said.starts_with(&format!("  - {name}: ")));
        let named = named.unwrap_or_else(|| panic!("{name}: {said}"));
        assert!(named.contains(words) && named.contains(", line "), "{said}");
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn a_name_stands_once() {
    for (name, line, kind) in [
        ("LLM_API_KEY", "LLM_API_KEY=another-key", "secrets"),
        ("SUPABASE_URL", "SUPABASE_URL = 'https://other.supabase.co'", "toml"),
    ] {
        let folder = Folder::new();
        folder.write("shop", &Values::needed());
        let path = folder.0.path().join(format!("shop.{kind}"));
        let mut text = std::fs::read_to_string(&path).unwrap();
        let number = text.lines().count() + 1;
        text += line;
        std::fs::write(path, text).unwrap();
        let said = format!("{:#}", folder.read("shop").err().unwrap());
        assert!(said.contains(&format!("line {number}")), "{name}: {said}");
        assert!(said.contains("stands twice") || said.contains("duplicate key"), "{said}");
        assert!(!said.contains("another-key"), "{said}");
    }
}

#[test]
fn how_an_editor_ends_lines_and_marks_files_is_no_fault() {
    let folder = Folder::new();
    folder.write("shop", &Values::needed());
    let plain = folder.read("shop").unwrap();
    for kind in ["toml", "secrets"] {
        let path = folder.0.path().join(format!("shop.{kind}"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("\u{feff}{}", text.replace('\n', " \r\n"))).unwrap();
    }
    let read = folder.read("shop").unwrap();
    assert_eq!((read.vars, read.secrets), (plain.vars, plain.secrets));
    assert_eq!(read.access.database_url, plain.access.database_url);
}

#[test]
fn a_deployments_name_is_no_path() {
    let folder = Folder::new();
    folder.write("shop", &Values::needed());
    for name in ["", "../shop", "shop/staging", "Shop", "shop.toml", "shop staging"] {
        let said = format!("{:#}", folder.read(name).err().unwrap());
        assert!(said.contains("a deployment's name has small letters"), "{name}: {said}");
    }
}
