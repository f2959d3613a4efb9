//! Writes the README's table of functions and the lists of docs/configuration.md.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use shared::core::config::{GROUPS, Presence, Setting};

use crate::deploy::deployment::{DERIVED, FETCHED, MADE_SECRETS};
use crate::deploy::values::placeholder;
use crate::function::Function;

/// The rows of the table: function, callers, purpose.
pub fn function_table(functions: &[Function]) -> String {
    let mut table = "| function | who | what |\n|---|---|---|\n".to_owned();
    for Function { name, callers, summary, .. } in functions {
        let callers = if callers.is_empty() { "–" } else { callers };
        let _ = writeln!(table, "| `{name}` | {callers} | {summary} |");
    }
    table
}

/// The settings that a deployment needs, then a list for each group, with the functions that read
/// it.
pub fn setting_lists(functions: &[Function]) -> String {
    let mut text = needed(functions);
    for group in GROUPS {
        let readers: Vec<String> = functions
            .iter()
            .filter(|function| function.groups.iter().any(|of| of.name == group.name))
            .map(|function| format!("`{}`", function.name))
            .collect();
        let readers = match readers.len() {
            all if all == functions.len() => "every function".to_owned(),
            _ => readers.join(", "),
        };
        let _ = write!(text, "## {}\n\n{}\n", group.name, wrapped(group.words));
        let _ = write!(text, "\n{}\n\n", wrapped(&format!("Read by {readers}.")));
        for setting in group.settings {
            let Setting { name, form, words, .. } = setting;
            let kind = if setting.example.is_some() { "var" } else { "secret" };
            let missing = missing(setting);
            let entry = format!("- `{name}` ({kind}, {form}; {missing}): {}", words.trim());
            let _ = writeln!(text, "{}", wrapped(&entry).replace('\n', "\n  "));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len() + 1);
    text
}

/// The settings without which a deploy fails, and all secrets.
fn needed(functions: &[Function]) -> String {
    let vars = functions.iter().flat_map(|function| &function.vars);
    let open = vars.filter(|(_, value)| placeholder(value).is_some());
    let public = listed(open.map(|(name, _)| &**name));
    let required = functions.iter().flat_map(|function| &function.secrets_required);
    let secrets = listed(required.map(|name| &**name));
    let optional = functions.iter().flat_map(|function| &function.secrets_optional);
    let further = listed(optional.map(|name| &**name));
    let entries = [
        format!("- under `[settings]` of `deploy/<name>.toml`: {public}"),
        format!("- in `deploy/<name>.secrets`: {secrets}"),
        format!("- secrets too, where they are set: {further}"),
    ];
    let mut text = "## What a deployment needs\n\n".to_owned();
    for entry in entries {
        let _ = writeln!(text, "{}", wrapped(&entry).replace('\n', "\n  "));
    }
    let made: Vec<String> = made().map(|name| format!("`{name}`")).collect();
    let made = made.join(", ");
    let fetched = FETCHED.map(|name| format!("`{name}`")).join(", ");
    let rest = format!(
        "A deploy makes or derives {made}, and asks the services for {fetched} where they are not \
         written ([deploying.md](deploying.md#what-a-deploy-finds-by-itself)). All else has a \
         value to start with."
    );
    let _ = write!(text, "\n{}\n\n", wrapped(&rest));
    text
}

/// The settings that a deploy makes, or derives from the account's address and the deployment's
/// name.
fn made() -> impl Iterator<Item = &'static str> {
    MADE_SECRETS.into_iter().chain(DERIVED)
}

/// The names in alphabetical order, without those that a deploy makes.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.filter(|name| !made().any(|other| other == *name)).collect();
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What applies if the setting is missing.
fn missing(setting: &Setting) -> String {
    match (setting.presence, setting.example.unwrap_or_default()) {
        (Presence::Required, _) => "required".to_owned(),
        (Presence::Deployed, _) => "required by a deploy".to_owned(),
        (Presence::Default, value) if !value.is_empty() => format!("`{value}` if not set"),
        (Presence::Default | Presence::Optional, _) => "optional".to_owned(),
    }
}

/// The text in lines of at most 98 columns, so that a list may indent them by two.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.chars().count() + 1 + word.chars().count() > 98 {
            lines.push(word.to_owned());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines.join("\n")
}
