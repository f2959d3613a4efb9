//! Judges what the doctor observed of a deployment. Nothing here does I/O, so that a test can put
//! each fault into a value.

use std::collections::{BTreeMap, BTreeSet};

use shared::core::config::{GROUPS, Presence, fingerprint};

use super::observed::{DatabaseState, Expected, NoAnswer, Observed, ToldSettings};
use super::{Finding, SERVICE_KEY, account_findings::account, readers, storage_findings::storage};
use crate::function::Function;

/// Two periods of a cron, and the time that a run takes.
const CRON_LATE_S: f64 = 180.0;
/// PostgREST's error code for a schema that it does not expose.
const NOT_EXPOSED: &str = "PGRST106";
/// PostgREST's error code for a function that does not exist.
const NO_FUNCTION: &str = "PGRST202";

/// Returns a finding for everything that was checked. A fault that causes others stands before
/// them.
pub fn findings(observed: &Observed, expected: &Expected) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(database(observed, expected));
    if let Ok(state) = &observed.database {
        found.push(migrations(state, expected));
        found.extend(storage(state, expected));
        found.push(admins(state));
    }
    found.extend(account(observed, expected));
    found.extend(functions(observed, expected));
    found.extend(settings(observed, expected));
    found.push(deployments(observed, expected));
    found.extend(keys(observed, expected));
    found.extend(webhooks(observed, expected));
    if let Ok(state) = &observed.database {
        found.extend(crons(state, expected));
        found.extend(queues(observed, state, expected));
        found.push(health(state));
        found.extend(circuits(state));
        found.extend(sellers(observed, state));
    }
    found.extend(pass_through(observed, expected));
    found.extend(providers(observed));
    found
}

pub(super) fn good(subject: impl Into<String>, words: impl Into<String>) -> Finding {
    let (subject, words) = (subject.into(), words.into());
    Finding { subject, ok: true, words, cure: None, may_pass: false }
}

pub(super) fn lack(
    subject: impl Into<String>,
    words: impl Into<String>,
    cure: impl Into<String>,
) -> Finding {
    let (subject, words) = (subject.into(), words.into());
    Finding { subject, ok: false, words, cure: Some(cure.into()), may_pass: false }
}

/// A lack that may disappear by itself soon.
fn passing(
    subject: impl Into<String>,
    words: impl Into<String>,
    cure: impl Into<String>,
) -> Finding {
    Finding { may_pass: true, ..lack(subject, words, cure) }
}

impl Expected {
    /// The command that deploys the functions with the settings of the deployment's files.
    pub(super) fn deploy(&self) -> String {
        format!("cargo xtask deploy {}", self.name.as_deref().unwrap_or("<name>"))
    }

    fn known(&self, name: &str) -> Option<&str> {
        self.known.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Checks whether the database answers our calls: its schema must be exposed, and the service key
/// must belong to the project.
fn database(observed: &Observed, expected: &Expected) -> Vec<Finding> {
    let refusal = match &observed.database {
        Ok(_) => return vec![good("database", "answers the service; `unstuck` is exposed")],
        Err(refusal) => refusal,
    };
    let finding = match (refusal.code.as_str(), refusal.status) {
        (NOT_EXPOSED, _) => lack(
            "database",
            "the schema `unstuck` is not exposed",
            format!("{}, or add it under Settings, Data API, Exposed schemas", expected.deploy()),
        ),
        (NO_FUNCTION, _) => lack(
            "database",
            "it has none of our migrations, or old ones: `doctor_v1` is missing",
            format!("cargo xtask migrate \"$DATABASE_URL\", or {}", expected.deploy()),
        ),
        (_, Some(401 | 403)) => lack(
            SERVICE_KEY,
            format!("the project does not take the key as the service's: {}", refusal.words()),
            "copy the project's secret key (Settings, API keys) into it",
        ),
        _ => lack("database", refusal.words(), "check SUPABASE_URL; is the project paused?"),
    };
    vec![finding]
}

fn migrations(state: &DatabaseState, expected: &Expected) -> Finding {
    let applied: BTreeSet<&String> = state.migrations.iter().flatten().collect();
    let missing: Vec<&str> = expected
        .migrations
        .iter()
        .filter(|name| !applied.contains(name))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return good("migrations", format!("all {} are applied", expected.migrations.len()));
    }
    let cure = format!("cargo xtask migrate \"$DATABASE_URL\", or {}", expected.deploy());
    lack("migrations", format!("missing: {}", missing.join(", ")), cure)
}

fn admins(state: &DatabaseState) -> Finding {
    match state.admins {
        Some(0) => lack(
            "admins",
            "nobody is an admin",
            "set `admin_email` and deploy, or: insert into unstuck.user_roles (user_id, role) \
             select id, 'admin' from auth.users \
             where lower(email) = lower('<yours>') and email_confirmed_at is not null;",
        ),
        Some(count) => good("admins", format!("{count}")),
        None => good("admins", "the app's own has_role decides; not counted"),
    }
}

/// Checks whether each function answers and accepts our service key.
fn functions(observed: &Observed, expected: &Expected) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, report) in &observed.reports {
        let Err(refusal) = report else { continue };
        let finding = match (refusal.status, refusal.code.as_str()) {
            (Some(404), _) => lack(
                name,
                "the gateway reaches no function of that name, or one without `__settings`",
                expected.deploy(),
            ),
            (Some(401), _) => lack(
                name,
                format!("it does not take the service key: its {SERVICE_KEY} is another one"),
                format!("give it the same {SERVICE_KEY} as the others: {}", expected.deploy()),
            ),
            (_, "misconfigured") => lack(name, &refusal.message, expected.deploy()),
            _ => lack(name, refusal.words(), expected.deploy()),
        };
        found.push(finding);
    }
    let answering = observed.reports.values().filter(|report| report.is_ok()).count();
    if found.is_empty() {
        found.push(good("functions", format!("all {answering} answer the service")));
    }
    found
}

/// One setting, with its values in all functions that reported it.
struct SettingEverywhere<'a> {
    name: &'static str,
    presence: Presence,
    /// Function → fingerprint of its value; `None` where the setting is missing.
    values: BTreeMap<&'a str, Option<&'a str>>,
    /// Whether the functions' examples of this setting differ, as `RUNNINGHUB_APPS` does. Such
    /// values are not compared.
    differs: bool,
}

fn told<'a>(observed: &'a Observed, expected: &'a Expected) -> Vec<SettingEverywhere<'a>> {
    let settings = GROUPS.iter().flat_map(|group| group.settings);
    let told = settings.map(|setting| {
        let readers = readers(&expected.functions, setting.name);
        let examples: BTreeSet<_> =
            readers.iter().map(|function| function.vars.get(setting.name)).collect();
        let value = |function: &&'a Function| {
            let report = observed.reports.get(&function.name)?.as_ref().ok()?;
            let digits = report.settings.get(setting.name).and_then(Option::as_deref);
            Some((function.name.as_str(), digits))
        };
        SettingEverywhere {
            name: setting.name,
            presence: setting.presence,
            differs: examples.len() > 1,
            values: readers.iter().filter_map(value).collect(),
        }
    });
    told.filter(|told| !told.values.is_empty()).collect()
}

/// Checks whether each setting is present, has the same value in all functions, and has the value
/// of the deployment's files.
fn settings(observed: &Observed, expected: &Expected) -> Vec<Finding> {
    let told = told(observed, expected);
    let rolled_back = observed.rolled_back;
    let found = told.iter().filter_map(|told| setting(told, expected, rolled_back));
    let mut found: Vec<Finding> = found.collect();
    if found.is_empty() {
        let count = told.len();
        found.push(good("settings", format!("{count} are there and the same in all functions")));
    }
    if rolled_back {
        found.push(since_rollback(&told, expected));
    }
    found
}

/// Names the settings whose values in the files are newer than those of the functions after a
/// rollback.
fn since_rollback(told: &[SettingEverywhere<'_>], expected: &Expected) -> Finding {
    let newer = told.iter().filter(|told| {
        let own = own_digits(told.name, expected);
        expected.known.contains_key(told.name)
            && told.name != SERVICE_KEY
            && !told.differs
            && own.as_deref() != most_common(&told.values)
    });
    let newer: Vec<&str> = newer.map(|told| told.name).collect();
    let words = match newer.is_empty() {
        true => {
            "the functions are those that it went back to, with the values of your files".into()
        }
        false => format!(
            "the functions have the values of then; your files hold other ones of {}, and {} \
             brings those",
            newer.join(", "),
            expected.deploy()
        ),
    };
    good("rollback", words)
}

/// The fingerprint of the setting's value in the deployment's files.
fn own_digits(name: &str, expected: &Expected) -> Option<String> {
    let key = expected.known(SERVICE_KEY).unwrap_or_default();
    expected.known(name).and_then(|value| fingerprint(key, name, value))
}

fn setting(
    told: &SettingEverywhere<'_>,
    expected: &Expected,
    rolled_back: bool,
) -> Option<Finding> {
    let SettingEverywhere { name, presence, values, differs } = told;
    let missing = functions_with(values, None);
    if matches!(presence, Presence::Required | Presence::Deployed) && !missing.is_empty() {
        let words = format!("missing in {}", missing.join(", "));
        return Some(lack(*name, words, expected.deploy()));
    }
    if *differs {
        return None;
    }
    let own = own_digits(name, expected);
    // A fingerprint is keyed by the service key, so the files' value can only be compared with that
    // of a function that has the same service key.
    let ours = expected.known.contains_key(*name) && *name != SERVICE_KEY && !rolled_back;
    let usual = if ours { own.as_deref() } else { most_common(values) };
    let other: Vec<&str> = values
        .iter()
        .filter(|(_, digits)| **digits != usual)
        .map(|(function, _)| *function)
        .collect();
    if other.is_empty() {
        return None;
    }
    let than = if ours { "yours" } else { "the other functions'" };
    let words = format!("another value than {than} in {}", other.join(", "));
    Some(lack(*name, words, expected.deploy()))
}

fn functions_with<'a>(
    values: &BTreeMap<&'a str, Option<&'a str>>,
    digits: Option<&str>,
) -> Vec<&'a str> {
    values.iter().filter(|(_, found)| **found == digits).map(|(function, _)| *function).collect()
}

/// The fingerprint that most functions report. If two are equally frequent, the first function
/// decides.
fn most_common<'a>(values: &BTreeMap<&'a str, Option<&'a str>>) -> Option<&'a str> {
    let count = |digits: Option<&str>| values.values().filter(|found| **found == digits).count();
    let mut best = None;
    for digits in values.values() {
        if best.is_none_or(|(most, _)| count(*digits) > most) {
            best = Some((count(*digits), *digits));
        }
    }
    best.and_then(|(_, digits)| digits)
}

/// Checks whether all functions, the database and the files name the same deployment.
fn deployments(observed: &Observed, expected: &Expected) -> Finding {
    let readers = readers(&expected.functions, "DEPLOYMENT_ID");
    let named = readers.iter().filter_map(|function| {
        let report = observed.reports.get(&function.name)?.as_ref().ok()?;
        Some((report.deployment.as_str(), function.name.as_str()))
    });
    let named: Vec<(&str, &str)> = named.collect();
    let identity = observed.database.as_ref().ok().and_then(|state| state.identity.as_ref());
    let owner = identity.map(|row| row.id.as_str()).or_else(|| expected.known("DEPLOYMENT_ID"));
    let Some(wanted) = owner.or_else(|| named.first().map(|(id, _)| *id)) else {
        return good("DEPLOYMENT_ID", "no function tells it");
    };
    let other = named.iter().filter(|(id, _)| *id != wanted);
    let other: Vec<String> = other.map(|(id, function)| format!("{function} ({id})")).collect();
    if other.is_empty() {
        return good("DEPLOYMENT_ID", wanted);
    }
    let whose = if owner.is_some() { "this is" } else { "the first function is of" };
    let words = format!("{whose} {wanted}, and not {}", other.join(", "));
    lack("DEPLOYMENT_ID", words, expected.deploy())
}

/// Checks whether the public key and the service key belong to the project, and tells the kind of
/// each.
fn keys(observed: &Observed, expected: &Expected) -> Vec<Finding> {
    let mut found = vec![public_key(observed, expected)];
    let live = match &observed.key_ids {
        Ok(live) => live,
        Err(refusal) => {
            let words = format!("the project's keys cannot be read: {}", refusal.words());
            found.push(lack("JWKS", words, "check SUPABASE_URL"));
            return found;
        }
    };
    let reports = observed.reports.iter().filter_map(|(name, report)| {
        let report = report.as_ref().ok()?;
        let checks = readers(&expected.functions, "SUPABASE_JWKS");
        let checks = checks.iter().any(|function| function.name == *name);
        checks.then_some((name.as_str(), report))
    });
    let reports: Vec<(&str, &ToldSettings)> = reports.collect();
    let faults: Vec<Finding> =
        reports.iter().filter_map(|(name, report)| key_fault(name, report, live)).collect();
    if faults.is_empty() {
        found.push(good("tokens", ways(&reports, live)));
    }
    found.extend(faults);
    found
}

fn public_key(observed: &Observed, expected: &Expected) -> Finding {
    let kind = |key: &str| if key.starts_with("sb_") { "of the new kind" } else { "a token" };
    match (&observed.page, &observed.public_key) {
        (Ok(page), Ok(())) => {
            let service = expected.known(SERVICE_KEY).unwrap_or_default();
            let (public, service) = (kind(&page.supabase_key), kind(service));
            good("keys", format!("fit; the public one is {public}, the service's {service}"))
        }
        (Ok(_), Err(refusal)) if refusal.status == Some(401) => lack(
            "SUPABASE_ANON_KEY",
            "it is no key of the project: nobody can sign in",
            format!("copy the project's public key into it, then {}", expected.deploy()),
        ),
        // The finding about the database gives the reason.
        (Ok(_), Err(refusal)) => lack(
            "SUPABASE_ANON_KEY",
            format!("it reads no table: {}", refusal.words()),
            expected.deploy(),
        ),
        (Err(refusal), _) => {
            lack("gateway", format!("/config.json: {}", refusal.words()), expected.deploy())
        }
    }
}

/// Returns the reason for which a function would refuse the project's tokens.
fn key_fault(name: &str, report: &ToldSettings, live: &[String]) -> Option<Finding> {
    if report.secret_fits == Some(false) {
        return Some(lack(
            "SUPABASE_JWT_SECRET",
            format!("{name} has one that did not sign the service key: it refuses every user"),
            "copy the project's JWT secret (Settings, JWT keys) into it, or remove it",
        ));
    }
    let has_secret = report.settings.get("SUPABASE_JWT_SECRET").is_some_and(Option::is_some);
    // The function may still know a retired key, as long as it also knows the project's present
    // ones.
    let unknown = |ids: &&Vec<String>| {
        live.iter().any(|id| !ids.contains(id)) || !ids.iter().any(|id| live.contains(id))
    };
    if report.key_ids.as_ref().filter(unknown).is_some() {
        return Some(lack(
            "SUPABASE_JWKS",
            format!("{name} has other keys than the project: it refuses every user"),
            "remove it, so that the keys are fetched from the project, or copy them anew",
        ));
    }
    (live.is_empty() && !has_secret).then(|| {
        lack(
            "SUPABASE_JWT_SECRET",
            format!("{name} has none, and the project signs with nothing else"),
            "copy the project's JWT secret (Settings, JWT keys) into it",
        )
    })
}

/// Describes by which keys or secrets the functions verify users' tokens.
fn ways(reports: &[(&str, &ToldSettings)], live: &[String]) -> String {
    let count = |is: &dyn Fn(&ToldSettings) -> bool| {
        reports.iter().filter(|(_, report)| is(report)).count()
    };
    let has_secret = |report: &ToldSettings| {
        report.settings.get("SUPABASE_JWT_SECRET").is_some_and(Option::is_some)
    };
    let secret = count(&has_secret);
    let inline = count(&|report| report.key_ids.is_some());
    let fetched = count(&|report| report.key_ids.is_none());
    format!(
        "{secret} functions verify by the JWT secret, {inline} by keys of their own, {fetched} by \
         the project's {} keys",
        live.len()
    )
}

/// Checks whether a provider's webhook would arrive at each address that the functions give to
/// providers.
fn webhooks(observed: &Observed, expected: &Expected) -> Vec<Finding> {
    let reported = observed.reports.iter().filter_map(|(name, report)| {
        Some((report.as_ref().ok()?.webhook.as_deref()?, name.as_str()))
    });
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (address, function) in reported {
        users.entry(address).or_default().push(function);
    }
    let mut found = Vec::new();
    for (address, users) in &users {
        let place = address.split("/provider-webhook/").next().unwrap_or_default();
        let users = users.join(", ");
        let reader = readers(&expected.functions, "REPLICATE_WEBHOOK_SECRET");
        let own = reader.iter().find_map(|function| {
            Some(observed.reports.get(&function.name)?.as_ref().ok()?.deployment.as_str())
        });
        found.extend(match observed.webhooks.get(*address) {
            Some(Ok(deployment)) if own.is_none_or(|own| own == deployment) => None,
            Some(Ok(deployment)) => Some(lack(
                "FUNCTIONS_URL",
                format!("at {place}, which {users} give out, answers the deployment {deployment}"),
                format!("set it to this gateway's address, then {}", expected.deploy()),
            )),
            Some(Err(refusal)) if refusal.status == Some(401) => Some(lack(
                "WEBHOOK_SECRET",
                format!("provider-webhook has another one than {users}"),
                expected.deploy(),
            )),
            Some(Err(refusal)) => Some(lack(
                "FUNCTIONS_URL",
                format!("a webhook to {place} of {users} does not arrive: {}", refusal.words()),
                format!("set it to the gateway's public address, then {}", expected.deploy()),
            )),
            None => None,
        });
    }
    if found.is_empty() && !users.is_empty() {
        found.push(good("webhooks", "a signed one arrives from outside"));
    }
    found
}

fn crons(state: &DatabaseState, expected: &Expected) -> Vec<Finding> {
    let scheduled = expected.functions.iter().filter(|function| !function.crons.is_empty());
    let late: Vec<&str> = scheduled
        .filter(|function| !state.has_seen(&function.name, "cron", CRON_LATE_S))
        .map(|function| function.name.as_str())
        .collect();
    if late.is_empty() {
        return vec![good("crons", "every one has fired within three minutes")];
    }
    let finding = |name| {
        let seen = state.events.iter().find(|seen| seen.function == name && seen.event == "cron");
        let words = match seen {
            Some(seen) => format!("its cron fired {:.0} s ago and not since", seen.seconds),
            None => "its cron has never fired".to_owned(),
        };
        let cure = "wait three minutes after the first deploy; then";
        passing(format!("cron {name}"), words, format!("{cure} {}", expected.deploy()))
    };
    late.into_iter().map(finding).collect()
}

fn queues(observed: &Observed, state: &DatabaseState, expected: &Expected) -> Vec<Finding> {
    let mut found = Vec::new();
    for ((function, binding), sent) in &observed.probes {
        if let Err(refusal) = sent {
            // `functions` already reports a function that does not answer at all.
            if observed.reports.get(function).is_some_and(Result::is_ok) {
                let words = format!("{function} cannot send to {binding}: {}", refusal.words());
                found.push(lack("queues", words, expected.deploy()));
            }
        }
    }
    let consumers = expected.functions.iter().filter(|function| function.consumer.is_some());
    for consumer in consumers {
        if !state.has_seen(&consumer.name, "queue", observed.probed_seconds) {
            found.push(passing(
                format!("queue {}", consumer.name),
                "what is sent to it does not arrive: it has no consumer, or it is held up",
                format!("{} makes the consumer", expected.deploy()),
            ));
        }
    }
    if found.is_empty() {
        found.push(good("queues", "each brings what is sent to it"));
    }
    found
}

fn health(state: &DatabaseState) -> Finding {
    let counts = state.health.clone().unwrap_or_default();
    let runbook = "docs/operations.md answers what to do";
    match (counts.last_sweep_seconds, counts.stuck, counts.violations) {
        (Some(age), Some(0), Some(0)) if age <= 120 => good("health", "nothing is stuck"),
        (None, ..) => passing("health", "no sweep has ever ended", "mend the crons"),
        (Some(age), ..) if age > 120 => {
            passing("health", format!("the last sweep ended {age} s ago"), "mend the crons")
        }
        (_, stuck, violations) => {
            let count = |count: Option<i64>| count.map_or("?".to_owned(), |it| it.to_string());
            let words = format!("{} stuck, {} violations", count(stuck), count(violations));
            lack("health", words, runbook)
        }
    }
}

fn circuits(state: &DatabaseState) -> Vec<Finding> {
    let finding = |circuit: &super::OpenCircuit| {
        let reason = circuit.reason.as_deref().unwrap_or("its refusals");
        lack(
            format!("provider {}", circuit.subject),
            format!("it refuses what is sent: {reason}"),
            "question 8 of docs/operations.md tells which refusal it was and what to do",
        )
    };
    state.circuits.iter().map(finding).collect()
}

/// Checks whether the packs that are on offer can be bought.
fn sellers(observed: &Observed, state: &DatabaseState) -> Option<Finding> {
    // `functions` already reports a function that does not answer.
    let answers = |function| observed.reports.get(function).is_some_and(Result::is_ok);
    if state.packs == 0 || !answers("purchase-webhook") || !answers("purchase-checkout") {
        return None;
    }
    let has = |function: &str, setting: &str| {
        let report = observed.reports.get(function).and_then(|report| report.as_ref().ok());
        report.is_some_and(|report| report.settings.get(setting).is_some_and(Option::is_some))
    };
    let pays = |setting| has("purchase-webhook", setting);
    let grants = pays("PURCHASE_STRIPE_SECRETS") || pays("PURCHASE_GENERIC_SECRETS");
    let sells = has("purchase-checkout", "STRIPE_API_KEY") || has("purchase-checkout", "BUY_URL");
    let packs = state.packs;
    let words = match (sells, grants) {
        (true, true) => return Some(good("purchases", format!("{packs} packs can be bought"))),
        (_, false) => format!("{packs} packs are offered, and what is paid grants nothing"),
        (false, true) => format!("{packs} packs are offered, and none can be bought"),
    };
    let setting = if grants { "STRIPE_API_KEY or BUY_URL" } else { "PURCHASE_STRIPE_SECRETS" };
    Some(lack("purchases", words, format!("set {setting}, or disable the packs")))
}

/// Checks whether an app reaches the project through the gateway's address, unless a setting
/// switches that off.
fn pass_through(observed: &Observed, expected: &Expected) -> Option<Finding> {
    let subject = "PROJECT_PASS_THROUGH";
    let is_off = |refusal: &NoAnswer| {
        refusal.status == Some(404) && refusal.message.contains("PROJECT_PASS_THROUGH")
    };
    match &observed.pass_through {
        Ok(()) => Some(good(subject, "an app needs the gateway's address alone")),
        Err(refusal) if is_off(refusal) && expected.known(subject) == Some("false") => {
            Some(good(subject, "off, as you set it"))
        }
        Err(refusal) if is_off(refusal) => Some(lack(
            subject,
            "off: an app that knows the gateway's address alone cannot sign in",
            format!("set it to true, then {}", expected.deploy()),
        )),
        Err(refusal) => Some(lack(
            subject,
            format!("the gateway does not reach the project: {}", refusal.words()),
            "check SUPABASE_URL",
        )),
    }
}

fn providers(observed: &Observed) -> Vec<Finding> {
    let finding = |(subject, answer): (&String, &Result<(), String>)| match answer {
        Ok(()) => good(subject, "answers"),
        Err(words) => {
            let setting = super::providers::setting_of(subject);
            lack(subject, words, format!("put the right value into {setting}, then deploy"))
        }
    };
    observed.providers.iter().map(finding).collect()
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
