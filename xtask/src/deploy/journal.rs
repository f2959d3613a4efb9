//! The notes on Cloudflare's versions and releases, where a fresh clone finds them too. A version
//! notes its deployment, the fingerprints of its code and settings, and its triggers. A release of
//! the gateway notes which versions of all Workers were found good together.

use anyhow::{Context, Result};

use super::cloudflare::{Release, Version};
use super::triggers::Triggers;

/// The beginning of each of our tags.
const OWNER: &str = "unstuck";
const GOOD: &str = "found good: ";
const BACK: &str = "rolled back to: ";
/// The number of digits that distinguish the versions of one Worker. Cloudflare cuts a message at
/// 1,000 bytes, which must hold every Worker's version.
const SHORT: usize = 8;

/// The tag of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VersionTag {
    pub(super) deployment: String,
    pub(super) code: String,
    pub(super) settings: String,
}

impl std::fmt::Display for VersionTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{OWNER}:{}:{}:{}", self.deployment, self.code, self.settings)
    }
}

impl VersionTag {
    /// The tag of a version that `deploy` made; `None` for any other version.
    pub(super) fn of(version: &Version) -> Option<Self> {
        let mut parts = version.annotations.tag.split(':').map(str::to_owned);
        if parts.next()? != OWNER {
            return None;
        }
        Some(Self { deployment: parts.next()?, code: parts.next()?, settings: parts.next()? })
    }
}

/// The message of a version.
pub(super) fn message(triggers: &Triggers) -> Result<String> {
    serde_json::to_string(triggers).context("triggers are plain data")
}

pub(super) fn triggers(version: &Version) -> Result<Triggers> {
    serde_json::from_str(&version.annotations.message)
        .with_context(|| format!("the version {} does not say its triggers", version.id))
}

/// The versions of all Workers that were in force together, by the first digits of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VersionSet(Vec<String>);

impl VersionSet {
    pub(super) fn of<'a>(versions: impl Iterator<Item = &'a str>) -> Self {
        let mut ids: Vec<String> = versions.map(|id| id.chars().take(SHORT).collect()).collect();
        ids.sort();
        Self(ids)
    }

    /// Whether all these versions are in force; others may be too.
    pub(super) fn is_within(&self, live: &Self) -> bool {
        self.0.iter().all(|id| live.0.contains(id))
    }

    pub(super) fn has(&self, version: &str) -> bool {
        self.0.iter().any(|id| version.starts_with(id.as_str()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn good(&self) -> String {
        format!("{GOOD}{}", self.0.join(" "))
    }

    pub(super) fn back(&self) -> String {
        format!("{BACK}{}", self.0.join(" "))
    }

    fn noted(release: &Release, kind: &str) -> Option<Self> {
        let ids = release.annotations.message.strip_prefix(kind)?;
        Some(Self(ids.split(' ').map(str::to_owned).collect()))
    }
}

/// The sets of versions that were found good, newest first, each once.
pub(super) fn found_good(releases: &[Release]) -> Vec<VersionSet> {
    let mut sets = Vec::new();
    for set in releases.iter().filter_map(|release| VersionSet::noted(release, GOOD)) {
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    sets
}

/// The set of a rollback, if it is the gateway's last release.
pub(super) fn begun(releases: &[Release]) -> Option<VersionSet> {
    releases.first().and_then(|release| VersionSet::noted(release, BACK))
}

/// The set to go back to: the last good one, or, if that one is in force, the one before it.
pub(super) fn before(releases: &[Release], live: &VersionSet) -> Option<VersionSet> {
    let mut good = found_good(releases).into_iter();
    let newest = good.next()?;
    let mut sets = std::iter::once(newest.clone()).chain(good.clone());
    match sets.position(|set| set.is_within(live)) {
        Some(at) => good.nth(at),
        None => Some(newest),
    }
}
