//! The texts of a deployment's two files, with the faults of their form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::deployment::{CLOUDFLARE_TOKEN, DATABASE_URL, SUPABASE_TOKEN};

/// `<name>.toml`, which holds what anybody may read.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnFile {
    pub(super) prefix: String,
    pub(super) account_id: String,
    pub(super) admin_email: Option<String>,
    pub(super) settings: BTreeMap<String, String>,
}

impl OwnFile {
    pub(super) fn path(dir: &Path, name: &str) -> PathBuf {
        dir.join(format!("{name}.toml"))
    }

    /// The file with the faults of its form. Fails where it cannot be read at all.
    pub(super) fn read(dir: &Path, name: &str) -> Result<(Self, Vec<String>)> {
        let path = Self::path(dir, name);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("no file {}; start from deploy/example.toml", path.display())
        })?;
        let table: toml::Table =
            toml::from_str(&text).with_context(|| format!("{} is no TOML", path.display()))?;
        let (mut file, mut faults) = (Self::default(), Vec::new());
        for (key, value) in table {
            match (key.as_str(), value) {
                ("prefix", toml::Value::String(text)) => file.prefix = text,
                ("account_id", toml::Value::String(text)) => file.account_id = text,
                ("admin_email", toml::Value::String(text)) => {
                    file.admin_email = Some(text).filter(|text| !text.is_empty());
                }
                ("settings", toml::Value::Table(settings)) => {
                    for (name, value) in settings {
                        match setting(&value) {
                            Some(text) => drop(file.settings.insert(name, text)),
                            None => faults.push(format!("{name}: write its value as a text")),
                        }
                    }
                }
                ("prefix" | "account_id" | "admin_email", _) => {
                    faults.push(format!("{key}: write its value as a text"));
                }
                _ => faults.push(format!(
                    "{key}: unknown; a setting of a function stands under [settings]"
                )),
            }
        }
        Ok((file, faults))
    }
}

/// The text of a setting; a number or a flag may be written bare. An empty one is not set.
fn setting(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.trim().to_owned()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// `<name>.secrets`: lines `NAME=value`, and comments after `#`.
#[derive(Clone, Default)]
pub(super) struct Secrets {
    pub(super) values: BTreeMap<String, String>,
}

impl Secrets {
    pub(super) fn path(dir: &Path, name: &str) -> PathBuf {
        dir.join(format!("{name}.secrets"))
    }

    /// The secrets with the faults of the file's form; no fault shows a value.
    pub(super) fn read(dir: &Path, name: &str) -> Result<(Self, Vec<String>)> {
        let path = Self::path(dir, name);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("no file {}; start from deploy/example.secrets", path.display())
        })?;
        let (mut values, mut faults) = (BTreeMap::new(), Vec::new());
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                faults.push(format!("line {} of the secrets is not NAME=value", number + 1));
                continue;
            };
            let (name, value) = (name.trim().to_owned(), unquoted(value.trim()).to_owned());
            if value.is_empty() {
                continue;
            }
            if values.insert(name.clone(), value).is_some() {
                faults.push(format!("{name}: stands twice in the secrets"));
            }
        }
        Ok((Self { values }, faults))
    }

    /// Those that functions read.
    pub(super) fn of_functions(mut self) -> BTreeMap<String, String> {
        for own in [CLOUDFLARE_TOKEN, DATABASE_URL, SUPABASE_TOKEN] {
            self.values.remove(own);
        }
        self.values
    }
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}
