//! Finds the faults of a deployment's settings: missing ones, wrong forms, placeholders,
//! contradictions. No fault shows the value of a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use shared::core::config::GROUPS;

use super::deployment::{
    ACCOUNT_ID, ANON_KEY, CLOUDFLARE_TOKEN, DATABASE_URL, DERIVED, MADE_SECRETS, PLACEMENT_REGION,
    SERVICE_KEY, SUPABASE_TOKEN, default_vars,
};
use super::files::{LACK, OwnFile, Secrets, SettingFault};
use super::values::{claim, find, placeholder, project_of, project_of_database, wrong};
use crate::function::Function;

/// Cloudflare's limit for the name of a Worker with an address on workers.dev, and of a queue.
const NAME_LENGTH: usize = 63;
/// The names that stand above [settings].
const HEAD: [&str; 3] = ["prefix", ACCOUNT_ID, "admin_email"];
/// Pairs of secrets that must differ.
const TWO_SECRETS: [(&str, &str); 4] = [
    ("WEBHOOK_SECRET_PREVIOUS", "WEBHOOK_SECRET"),
    ("CRON_SECRET", "WEBHOOK_SECRET"),
    ("CRON_SECRET", SERVICE_KEY),
    ("GEMINI_API_KEY_2", "GEMINI_API_KEY"),
];

/// Whether a character may stand in the name of a Worker and of a queue.
pub(super) fn is_plain(letter: char) -> bool {
    letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-'
}

/// Every fault of the two files. A missing value is no fault if it is in `to_come`.
pub(super) fn file(
    file: &OwnFile,
    secrets: &Secrets,
    functions: &[Function],
    to_come: &BTreeSet<&str>,
) -> Vec<SettingFault> {
    let mut faults = names(file, functions);
    faults.extend(unknown(file, secrets));
    faults.extend(missing(file, secrets, functions));
    faults.retain(|fault| !to_come.iter().any(|name| fault.is_lack_of(name)));
    let written = file.settings.iter().chain(&secrets.values);
    for (name, value) in written.filter(|(_, value)| !value.is_empty()) {
        faults.extend(wrong(name, value).map(|words| SettingFault::of(name, words)));
    }
    faults.extend(contradictions(file, secrets));
    let found = |fault: SettingFault| {
        let is_secret = find(fault.name()).map(|setting| setting.example.is_none());
        let places = match is_secret.unwrap_or_else(|| is_of_deploying(fault.name())) {
            true => [&secrets.places, &file.places],
            false => [&file.places, &secrets.places],
        };
        fault.found_in(places)
    };
    faults.into_iter().map(found).collect()
}

/// Another deployment with the same prefix in the same account would have the same Workers. An
/// account that is not given may be the same one.
pub(super) fn siblings(dir: &Path, name: &str, file: &OwnFile) -> Vec<SettingFault> {
    let Ok(entries) = dir.read_dir() else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let other = entry.file_name().to_string_lossy().strip_suffix(".toml")?.to_owned();
            (other != name && other != "example").then_some(other)
        })
        .collect();
    names.sort();
    let may_be_same = |one: &str, other: &str| one == other || one.is_empty() || other.is_empty();
    names.retain(|other| {
        OwnFile::read(dir, other).is_ok_and(|(other, _)| {
            may_be_same(&other.account_id, &file.account_id) && other.prefix == file.prefix
        })
    });
    let fault = |other: String| {
        let words = format!(
            "the deployment {other} has the same one in the same account; where it is another \
             account, write both account_id"
        );
        SettingFault::of("prefix", words).found_in([&file.places, &file.places])
    };
    names.into_iter().map(fault).collect()
}

fn names(file: &OwnFile, functions: &[Function]) -> Vec<SettingFault> {
    let mut faults = Vec::new();
    let mut say = |name: &str, words: String| faults.push(SettingFault::of(name, words));
    let id = &file.account_id;
    if id.is_empty() {
        say(ACCOUNT_ID, format!("{LACK} The dashboard of Workers shows it."));
    } else if let Some(fault) = placeholder(id) {
        say(ACCOUNT_ID, fault);
    } else if id.len() != 32 || !id.chars().all(|letter| letter.is_ascii_hexdigit()) {
        say(ACCOUNT_ID, "is not 32 hexadecimal digits".to_owned());
    }
    let longest = functions.iter().max_by_key(|function| function.name.len());
    let longest = longest.map(|function| function.name.as_str()).unwrap_or_default();
    if !file.prefix.chars().all(is_plain) || file.prefix.starts_with('-') {
        let words = "has small letters, digits and `-`, and starts with no `-`";
        say("prefix", words.to_owned());
    } else if file.prefix.len() + longest.len() > NAME_LENGTH {
        let most = NAME_LENGTH - longest.len();
        say(
            "prefix",
            format!("is longer than {most} letters, and {longest} would be over {NAME_LENGTH}"),
        );
    }
    let email = file.admin_email.as_deref();
    if let Some(fault) = email.and_then(placeholder) {
        say("admin_email", fault);
    } else if email.is_some_and(|email| !is_email(email)) {
        say("admin_email", "is no e-mail address".to_owned());
    }
    faults
}

fn is_email(text: &str) -> bool {
    let Some((user, host)) = text.split_once('@') else {
        return false;
    };
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    let is_of_user = |c: char| !c.is_whitespace() && !",;<>()\"".contains(c);
    let labels: Vec<&str> = host.split('.').collect();
    !user.is_empty()
        && user.chars().all(is_of_user)
        && labels.len() > 1
        && labels.into_iter().all(is_label)
}

/// Unknown names, and settings in the wrong file.
fn unknown(file: &OwnFile, secrets: &Secrets) -> Vec<SettingFault> {
    let above = |name: &String| match find(name) {
        Some(_) => SettingFault::of(name, "a setting of a function stands below [settings]"),
        None => SettingFault::of(name, format!("is unknown here{}", near(name))),
    };
    let mut faults: Vec<SettingFault> = file.unknown.iter().map(above).collect();
    for name in file.settings.keys().filter(|name| *name != PLACEMENT_REGION) {
        let is_public = find(name).map(|setting| setting.example.is_some());
        let words = match is_public.or(is_of_deploying(name).then_some(false)) {
            Some(true) => continue,
            Some(false) if secrets.values.contains_key(name) => {
                "is a secret, and stands in the secrets; remove it here, and make a new one if \
                 others have seen it"
                    .to_owned()
            }
            Some(false) => "is a secret; it belongs into the secrets".to_owned(),
            None if HEAD.contains(&name.as_str()) => "belongs above [settings]".to_owned(),
            None => format!("no function reads it{}", near(name)),
        };
        let fault = SettingFault::of(name, words);
        faults.push(fault.found_in([&file.places, &secrets.places]));
    }
    for name in secrets.values.keys().filter(|name| !is_of_deploying(name)) {
        match find(name).map(|setting| setting.example.is_some()) {
            Some(false) => {}
            Some(true) if file.settings.contains_key(name) => {
                let fault = SettingFault::of(name, "stands under [settings], too; remove it here");
                faults.push(fault.found_in([&secrets.places, &file.places]));
            }
            Some(true) => {
                faults.push(SettingFault::of(name, "is no secret; it belongs under [settings]"))
            }
            None => {
                faults.push(SettingFault::of(name, format!("no function reads it{}", near(name))))
            }
        }
    }
    faults
}

fn is_of_deploying(name: &str) -> bool {
    [CLOUDFLARE_TOKEN, DATABASE_URL, SUPABASE_TOKEN].contains(&name)
}

/// The known name that differs from this one by the fewest letters.
fn near(name: &str) -> String {
    const MOST: usize = 3;
    let settings = GROUPS.iter().flat_map(|group| group.settings).map(|setting| setting.name);
    let all = settings.chain([CLOUDFLARE_TOKEN, DATABASE_URL, SUPABASE_TOKEN]).chain(HEAD);
    let closest = all.map(|known| (distance(known, name), known)).min();
    match closest.filter(|(letters, _)| *letters <= MOST) {
        Some((_, known)) => format!("; is {known} meant?"),
        None => String::new(),
    }
}

/// The number of letters to insert, remove or replace to turn one text into the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut last = at + 1;
        let mut next = vec![last];
        for ((same, above), here) in other.chars().zip(&row).zip(row.iter().skip(1)) {
            let replaced = above + usize::from(same != letter);
            last = replaced.min(here + 1).min(last + 1);
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// The needed values that are not given.
pub(super) fn lacking(
    file: &OwnFile,
    secrets: &Secrets,
    functions: &[Function],
) -> BTreeSet<String> {
    let required = functions.iter().flat_map(|function| &function.secrets_required).cloned();
    let mut names: BTreeSet<String> = required.collect();
    names.extend([CLOUDFLARE_TOKEN, DATABASE_URL].map(str::to_owned));
    names.retain(|name| {
        !MADE_SECRETS.contains(&name.as_str()) && !secrets.values.contains_key(name)
    });
    for (name, value) in default_vars(functions) {
        let given = file.settings.get(&name).is_some_and(|value| !value.is_empty());
        if !given && !DERIVED.contains(&name.as_str()) && placeholder(&value).is_some() {
            names.insert(name);
        }
    }
    names
}

fn missing(file: &OwnFile, secrets: &Secrets, functions: &[Function]) -> Vec<SettingFault> {
    let fault = |name: String| {
        let words = match name.as_str() {
            CLOUDFLARE_TOKEN => "A token of Cloudflare that may edit Workers and queues.",
            DATABASE_URL => "The connection string of the project's database.",
            _ => find(&name).map_or("", |setting| setting.words.trim()),
        };
        let other = match name.as_str() {
            SERVICE_KEY | ANON_KEY => {
                " It is fetched where SUPABASE_ACCESS_TOKEN is given and SUPABASE_URL or \
                 DATABASE_URL names the project."
            }
            _ => "",
        };
        SettingFault::of(&name, format!("{LACK} {words}{other}"))
    };
    lacking(file, secrets, functions).into_iter().map(fault).collect()
}

fn contradictions(file: &OwnFile, secrets: &Secrets) -> Vec<SettingFault> {
    // A placeholder is a fault of its own.
    let of = |values: &BTreeMap<String, String>, name: &str| {
        values.get(name).filter(|value| placeholder(value).is_none()).cloned().unwrap_or_default()
    };
    let setting = |name: &str| of(&file.settings, name);
    let secret = |name: &str| of(&secrets.values, name);
    let mut faults = Vec::new();
    if let Some(project) = project_of(&setting("SUPABASE_URL")) {
        let others = [
            (DATABASE_URL, project_of_database(&secret(DATABASE_URL))),
            (SERVICE_KEY, claim(&secret(SERVICE_KEY), "ref")),
            (ANON_KEY, claim(&setting(ANON_KEY), "ref")),
        ];
        for (name, other) in others {
            if let Some(other) = other.filter(|other| *other != project) {
                let words = format!("is of the project {other}; SUPABASE_URL is that of {project}");
                faults.push(SettingFault::of(name, words));
            }
        }
    }
    for (name, other) in TWO_SECRETS {
        if !secret(name).is_empty() && secret(name) == secret(other) {
            faults.push(SettingFault::of(name, format!("is the same as {other}")));
        }
    }
    // The files of a bucket of uploads are deleted after some days.
    let bucket = |name: &str, default: &str| match setting(name) {
        named if named.is_empty() => default.to_owned(),
        named => named,
    };
    if bucket("UPLOADS_BUCKET", "uploads") == bucket("RESULTS_BUCKET", "results") {
        let words = "is the same as RESULTS_BUCKET".to_owned();
        faults.push(SettingFault::of("UPLOADS_BUCKET", words));
    }
    let receiver = setting("OUTGOING_WEBHOOK_URL");
    if !receiver.is_empty() && secret("OUTGOING_WEBHOOK_SECRETS").is_empty() {
        let words = format!("{LACK} Nothing is sent unsigned to OUTGOING_WEBHOOK_URL.");
        faults.push(SettingFault::of("OUTGOING_WEBHOOK_SECRETS", words));
    }
    let (stripe, live) = (secret("STRIPE_API_KEY"), setting("PURCHASE_LIVE") == "true");
    let is_of = |mode: &str| {
        let kinds = ["rk", "sk"].iter();
        kinds.filter_map(|kind| stripe.strip_prefix(kind)).any(|rest| rest.starts_with(mode))
    };
    let words = if is_of("_live_") && !live {
        "is not true, and STRIPE_API_KEY is a live one"
    } else if is_of("_test_") && live {
        "is true, and STRIPE_API_KEY is of the test mode"
    } else {
        return faults;
    };
    faults.push(SettingFault::of("PURCHASE_LIVE", words));
    faults
}
