//! Every fault of the two files is named at once, and no secret with it.

use base64::Engine as _;

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

    // A secret that is made once stays the same.
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

#[test]
fn the_committed_example_is_refused_for_its_placeholders_alone() {
    let folder = Folder::new();
    let example = xtask::deploy::folder();
    for kind in ["toml", "secrets"] {
        let text = std::fs::read_to_string(example.join(format!("example.{kind}"))).unwrap();
        std::fs::write(folder.0.path().join(format!("mine.{kind}")), text).unwrap();
    }
    let said = format!("{:#}", folder.read("mine").err().unwrap());
    for line in said.lines().skip(1) {
        let is_placeholder = line.ends_with(": is a placeholder") || line.contains(": missing");
        assert!(is_placeholder, "{line}");
    }
    assert_eq!(said.lines().count(), 1 + 13, "{said}");
}
