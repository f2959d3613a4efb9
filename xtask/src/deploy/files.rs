//! Reads a deployment's two files, and finds the faults of their form.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::deployment::{CLOUDFLARE_TOKEN, DATABASE_URL, SUPABASE_TOKEN};

/// The beginning of the fault of a value that is not given.
pub(super) const LACK: &str = "missing.";

/// A fault of a setting. It never shows the value of a secret.
#[derive(Clone, Debug)]
pub(super) struct SettingFault {
    name: String,
    words: String,
    place: Option<String>,
}

impl SettingFault {
    pub(super) fn of(name: &str, words: impl Into<String>) -> Self {
        Self { name: name.to_owned(), words: words.into(), place: None }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether this fault says that the value of that name is not given.
    pub(super) fn is_lack_of(&self, name: &str) -> bool {
        self.name == name && self.words.starts_with(LACK)
    }

    fn at(mut self, place: String) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds the file and the line of the name, from the first of the two files that has it. A name
    /// in neither file gets no line.
    pub(super) fn found_in(self, places: [&Places; 2]) -> Self {
        if self.place.is_some() {
            return self;
        }
        let known = places.iter().find_map(|places| places.of(&self.name));
        let [first, _] = places;
        let place = known.unwrap_or_else(|| first.file.clone());
        self.at(place)
    }
}

impl fmt::Display for SettingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.words)?;
        self.place.as_ref().map_or(Ok(()), |place| write!(f, " ({place})"))
    }
}

/// The lines of one file at which names stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    file: String,
    lines: BTreeMap<String, usize>,
}

impl Places {
    fn of(&self, name: &str) -> Option<String> {
        Some(self.line(*self.lines.get(name)?))
    }

    fn line(&self, number: usize) -> String {
        format!("{}, line {number}", self.file)
    }
}

/// `<name>.toml`, which holds no secrets.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnFile {
    pub(super) prefix: String,
    pub(super) account_id: String,
    pub(super) admin_email: Option<String>,
    pub(super) settings: BTreeMap<String, String>,
    /// Names above [settings] that are unknown there.
    pub(super) unknown: Vec<String>,
    pub(super) places: Places,
}

impl OwnFile {
    pub(super) fn path(dir: &Path, name: &str) -> PathBuf {
        dir.join(format!("{name}.toml"))
    }

    /// Reads the file, and the faults of its form. Fails if it cannot be read or parsed at all.
    pub(super) fn read(dir: &Path, name: &str) -> Result<(Self, Vec<SettingFault>)> {
        let path = Self::path(dir, name);
        let text = text(&path, "example.toml")?;
        let table =
            DeTable::parse(&text).with_context(|| format!("{} is no TOML", path.display()))?;
        let (mut file, mut faults) = (Self::default(), Vec::new());
        file.places.file = format!("{name}.toml");
        for (key, value) in table.into_inner() {
            let (line, value) = (line_of(&text, &key), value.into_inner());
            let key = key.into_inner();
            match (&*key, value) {
                ("settings", DeValue::Table(settings)) => {
                    faults.extend(file.take_settings(&text, settings));
                    continue;
                }
                ("prefix", DeValue::String(text)) => file.prefix = text.into_owned(),
                ("account_id", DeValue::String(text)) => file.account_id = text.into_owned(),
                ("admin_email", DeValue::String(text)) => {
                    file.admin_email = Some(text.into_owned()).filter(|text| !text.is_empty());
                }
                ("prefix" | "account_id" | "admin_email", _) => {
                    faults.push(SettingFault::of(&key, "write its value as a text"));
                }
                _ => file.unknown.push(key.clone().into_owned()),
            }
            file.places.lines.insert(key.into_owned(), line);
        }
        let places = [&file.places, &file.places];
        let faults = faults.into_iter().map(|fault| fault.found_in(places)).collect();
        Ok((file, faults))
    }

    fn take_settings(&mut self, text: &str, settings: DeTable<'_>) -> Vec<SettingFault> {
        let mut faults = Vec::new();
        for (name, value) in settings {
            let line = line_of(text, &name);
            let name = name.into_inner().into_owned();
            self.places.lines.insert(name.clone(), line);
            match setting(value.get_ref()) {
                Some(text) => drop(self.settings.insert(name, text)),
                None => faults.push(SettingFault::of(&name, "write its value as a text")),
            }
        }
        faults
    }
}

/// The text of one of our files, without the byte order mark that some editors write.
fn text(path: &Path, example: &str) -> Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("no file {}; start from deploy/{example}", path.display()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

fn line_of<T>(text: &str, spanned: &Spanned<T>) -> usize {
    let before = text.get(..spanned.span().start).unwrap_or_default();
    before.matches('\n').count() + 1
}

/// The value of a setting as text; a number or a boolean may stand without quotes. Empty means not
/// set.
fn setting(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.trim().to_owned()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// `<name>.secrets`, which has lines `NAME=value`, and comments after `#`.
#[derive(Clone, Default)]
pub(super) struct Secrets {
    pub(super) values: BTreeMap<String, String>,
    pub(super) places: Places,
}

impl Secrets {
    pub(super) fn path(dir: &Path, name: &str) -> PathBuf {
        dir.join(format!("{name}.secrets"))
    }

    /// Reads the secrets, and the faults of the file's form.
    pub(super) fn read(dir: &Path, name: &str) -> Result<(Self, Vec<SettingFault>)> {
        let text = text(&Self::path(dir, name), "example.secrets")?;
        let (mut secrets, mut faults) = (Self::default(), Vec::new());
        secrets.places.file = format!("{name}.secrets");
        for (number, line) in text.lines().enumerate() {
            let (number, line) = (number + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = secrets.places.line(number);
            let (variable, value) = line.split_once('=').unwrap_or_default();
            let variable = variable.trim();
            if variable.is_empty() || !variable.chars().all(is_of_name) {
                faults.push(SettingFault::of("a line", "is not NAME=value").at(place));
                continue;
            }
            let (value, fault) = unquoted(value.trim());
            faults.extend(fault.map(|words| SettingFault::of(variable, words).at(place.clone())));
            if value.is_empty() {
                continue;
            }
            if let Some(first) = secrets.places.of(variable) {
                let words = format!("stands twice; the other one: {first}");
                faults.push(SettingFault::of(variable, words).at(place));
            }
            secrets.values.insert(variable.to_owned(), value.to_owned());
            secrets.places.lines.insert(variable.to_owned(), number);
        }
        Ok((secrets, faults))
    }

    /// Adds lines to the file, all or none.
    pub(super) fn add(dir: &Path, name: &str, values: &[(&str, &str)]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let path = Self::path(dir, name);
        let mut text = std::fs::read_to_string(&path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for (variable, value) in values {
            text.push_str(&format!("{variable}={value}\n"));
        }
        // The copy has the permissions of the file that it replaces.
        let part = path.with_extension("secrets.part");
        std::fs::copy(&path, &part)?;
        std::fs::write(&part, text)?;
        std::fs::rename(&part, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Only the secrets that functions read.
    pub(super) fn of_functions(mut self) -> BTreeMap<String, String> {
        for own in [CLOUDFLARE_TOKEN, DATABASE_URL, SUPABASE_TOKEN] {
            self.values.remove(own);
        }
        self.values
    }
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// The value without the quotes around it, and the fault of its quotes, if any.
fn unquoted(value: &str) -> (&str, Option<&'static str>) {
    for quote in ['"', '\''] {
        let inside = value.strip_prefix(quote);
        match inside.and_then(|inside| inside.strip_suffix(quote)) {
            Some(inside) => return (inside, None),
            None if inside.is_some() || value.ends_with(quote) => {
                return (value, Some("has a quote at one end only; it needs none"));
            }
            None => {}
        }
    }
    let commented = value.contains(" #") || value.contains("\t#");
    (value, commented.then_some("has a comment behind it; write that on a line of its own"))
}
