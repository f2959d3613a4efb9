//! Decides what goes into the next migration: all sources go into the first one, changed sources
//! into a later one.
//!
//! Functions, views and policies are recreated with everything that depends on them. The statements
//! that change tables, or objects outside of our schemas, are written by a person.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use super::file::{self, Body, Made, Name, Part};
use super::source::{self, Kind, Source};
use super::text;

/// The text of the migration that follows `earlier` and updates a database to these sources.
pub fn migration(
    name: &Name,
    earlier: &[(Name, String)],
    sources: &[Source],
    by_hand: Option<&str>,
) -> Result<String> {
    if sources.is_empty() {
        bail!("there is nothing in supabase/schemas");
    }
    let mut body = if earlier.is_empty() {
        let parts = sources.iter().cloned().map(Part::Whole).collect();
        Body { parts, ..Body::default() }
    } else {
        MigrationPlan::new(known(earlier)?, sources, by_hand).body()?
    };
    body.by_hand = by_hand.unwrap_or_default().into();
    if body == Body::default() {
        bail!("nothing in supabase/schemas has changed since {}", last(earlier));
    }
    Ok(file::compose(name, &body))
}

fn last(earlier: &[(Name, String)]) -> String {
    earlier.last().map(|(name, _)| name.file()).unwrap_or_default()
}

/// A source as the earlier migrations left it.
struct Known {
    hash: String,
    /// The text that a migration last executed. That of a table may be older than `hash`.
    source: Source,
}

fn known(earlier: &[(Name, String)]) -> Result<BTreeMap<String, Known>> {
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for (name, text) in earlier {
        for part in Made::read(name.clone(), text)?.parts {
            match part {
                Part::Whole(source) => {
                    known.insert(source.path.clone(), Known { hash: source.hash(), source });
                }
                Part::Noted { path, hash } => {
                    let before = known.get(&path).or_else(|| {
                        // The file was only moved.
                        known.values().find(|known| known.hash == hash)
                    });
                    let before = before.map(|known| known.source.clone());
                    let mut source = before.with_context(|| {
                        format!("supabase/migrations/{}: nothing made {path} before", name.file())
                    })?;
                    source.path.clone_from(&path);
                    known.insert(path, Known { hash, source });
                }
                Part::Removed { path } => {
                    known.remove(&path);
                }
            }
        }
    }
    Ok(known)
}

struct MigrationPlan<'a> {
    known: BTreeMap<String, Known>,
    /// The sources in the order in which they can be created.
    sources: &'a [Source],
    by_hand: Option<&'a str>,
    /// The views and functions to drop, for good or before they are recreated.
    dropped: BTreeSet<String>,
    /// The paths of unchanged sources that must run again because something under them is dropped.
    again: BTreeSet<String>,
}

impl<'a> MigrationPlan<'a> {
    fn new(
        known: BTreeMap<String, Known>,
        sources: &'a [Source],
        by_hand: Option<&'a str>,
    ) -> Self {
        let (dropped, again) = (BTreeSet::new(), BTreeSet::new());
        let mut plan = Self { known, sources, by_hand, dropped, again };
        plan.dropped = plan.dropped_by_hand();
        plan.dropped.extend(plan.dropped_first());
        while plan.hang_on_dropped() {}
        plan
    }

    /// The source as it was before, under its old path if the file was moved.
    fn before(&self, source: &Source) -> Option<&Known> {
        let moved = || {
            self.gone()
                .find(|known| !source.creates.is_empty() && known.source.creates == source.creates)
        };
        self.known.get(&source.path).or_else(moved)
    }

    /// The known sources whose file no longer exists at its path.
    fn gone(&self) -> impl Iterator<Item = &Known> {
        let there = |path: &str| self.sources.iter().any(|source| source.path == path);
        self.known.values().filter(move |known| !there(&known.source.path))
    }

    /// The known sources whose objects no source creates any more.
    fn removed(&self) -> impl Iterator<Item = &Known> {
        self.gone().filter(|known| {
            let moved = |source: &Source| {
                !source.creates.is_empty() && source.creates == known.source.creates
            };
            !self.sources.iter().any(moved)
        })
    }

    /// Whether it makes another database: Postgres keeps no comment outside of bodies and quotes.
    fn is_changed(&self, source: &Source) -> bool {
        self.before(source).is_some_and(|known| {
            let only_noted = known.hash != known.source.hash();
            let same_code = || text::code(&known.source.text) == text::code(&source.text);
            known.hash != source.hash() && (only_noted || !same_code())
        })
    }

    /// Whether it is enough to run the source as it is now.
    fn may_rerun(&self, source: &Source) -> bool {
        let adds_rows = |known: &Known| only_adds_rows(&known.source.text, &source.text);
        is_replaceable(source.kind)
            || source.kind == Kind::Rows && self.before(source).is_some_and(adds_rows)
    }

    fn dropped_by_hand(&self) -> BTreeSet<String> {
        let statements = text::statements(self.by_hand.unwrap_or_default());
        let drops = statements.into_iter().filter(|statement| {
            let words = text::words(&text::blanked(statement, text::Blank::AllButCode));
            matches!(words.as_slice(), [drop, what, ..]
                if drop == "drop" && ["view", "function"].contains(&what.as_str()))
        });
        drops.flat_map(text::mentions).collect()
    }

    /// The objects that must be dropped before they are recreated, or for good: changed views,
    /// functions with other arguments or results, and removed objects.
    fn dropped_first(&self) -> BTreeSet<String> {
        let mut dropped = BTreeSet::new();
        for source in self.sources.iter().filter(|source| self.is_changed(source)) {
            let Some(before) = self.before(source).map(|known| &known.source) else { continue };
            match before.kind {
                Kind::View => dropped.extend(before.creates.iter().cloned()),
                Kind::Function => {
                    let now = source.headers();
                    let other = before.headers().into_iter();
                    let other = other.filter(|(name, header)| now.get(name) != Some(header));
                    dropped.extend(other.map(|(name, _)| name));
                }
                _ => {}
            }
        }
        let removed = self.removed().filter(|known| is_replaceable(known.source.kind));
        dropped.extend(removed.flat_map(|known| known.source.creates.iter().cloned()));
        dropped
    }

    /// Adds the objects that depend on a dropped one. Returns whether there were any.
    fn hang_on_dropped(&mut self) -> bool {
        let size = self.dropped.len() + self.again.len();
        for source in self.sources {
            let Some(before) = self.before(source).map(|known| known.source.clone()) else {
                continue;
            };
            match source.kind {
                Kind::View if self.hangs(&text::mentions(&before.text)) => {
                    self.dropped.extend(before.creates.iter().cloned());
                    self.again.insert(source.path.clone());
                }
                Kind::Function => {
                    let headers = before.headers().into_iter();
                    let hanging = headers
                        .filter(|(_, header)| self.hangs(&text::mentions(&header.join(" "))));
                    let hanging: Vec<String> = hanging.map(|(name, _)| name).collect();
                    self.dropped.extend(hanging);
                    // The file may also create a trigger on a dropped view.
                    if self.hangs(&text::mentions(&before.text)) {
                        self.again.insert(source.path.clone());
                    }
                }
                Kind::Policy if self.hangs(&text::mentions(&before.text)) => {
                    self.again.insert(source.path.clone());
                }
                Kind::Front if self.front_hangs(&before) => {
                    self.again.insert(source.path.clone());
                }
                _ => {}
            }
        }
        self.dropped.len() + self.again.len() > size
    }

    fn hangs(&self, names: &BTreeSet<String>) -> bool {
        !self.dropped.is_disjoint(names)
    }

    /// Whether the front is a view that reads a dropped view or function.
    fn front_hangs(&self, front: &Source) -> bool {
        front_view(front).is_some() && self.hangs(&text::mentions_in_bodies(&front.text))
    }

    /// The changed files for which a person must write statements.
    fn needs_a_hand(&self) -> Vec<String> {
        let removed = self.removed().filter(|known| !is_replaceable(known.source.kind));
        let removed = removed.map(|known| format!("{} (removed)", known.source.path));
        let changed = self.sources.iter().filter(|source| {
            let hangs = || {
                source.kind == Kind::Table
                    && self.before(source).is_some()
                    && self.hangs(&text::mentions(&source.text))
            };
            !self.may_rerun(source) && (self.is_changed(source) || hangs())
        });
        changed.map(|source| source.path.clone()).chain(removed).collect()
    }

    fn body(&self) -> Result<Body> {
        let needs = self.needs_a_hand();
        if self.by_hand.is_none() && !needs.is_empty() {
            bail!(
                "these cannot be changed from their source alone: {}; write the statements that \
                 turn the old into the new into a file and name it with --alter",
                needs.join(", ")
            );
        }
        let mut parts = Vec::new();
        for source in self.sources {
            let hash = source.hash();
            let noted = || Part::Noted { path: source.path.clone(), hash };
            match self.before(source) {
                None => parts.push(Part::Whole(source.clone())),
                Some(_) if self.again.contains(&source.path) => {
                    parts.push(Part::Whole(source.clone()));
                }
                Some(_) if self.is_changed(source) && self.may_rerun(source) => {
                    parts.push(Part::Whole(source.clone()));
                }
                // A person drops it, or it is dropped because its header changed.
                Some(_) if source.creates.iter().any(|name| self.dropped.contains(name)) => {
                    parts.push(Part::Whole(source.clone()));
                }
                Some(_) if self.is_changed(source) => parts.push(noted()),
                Some(known) if known.source.path != source.path => parts.push(noted()),
                Some(_) => {}
            }
        }
        let gone = self.gone().map(|known| Part::Removed { path: known.source.path.clone() });
        parts.extend(gone);
        Ok(Body { by_hand: String::new(), drops: self.drops()?, parts })
    }

    /// The statements that drop fronts, then everything else in the reverse order of its creation.
    fn drops(&self) -> Result<Vec<String>> {
        let by_hand = self.dropped_by_hand();
        let before =
            source::in_order(self.known.values().map(|known| known.source.clone()).collect())?;
        let fronts = self.sources.iter().filter(|source| self.again.contains(&source.path));
        let fronts = fronts.filter_map(|source| self.before(source)).filter_map(|known| {
            (known.source.kind == Kind::Front).then(|| front_view(&known.source)).flatten()
        });
        let mut drops: Vec<String> = fronts.map(|view| drop_front(&view)).collect();
        for old in before.iter().rev() {
            match old.kind {
                Kind::Policy if self.is_made_anew(old) => {
                    drops.extend(
                        old.policies().iter().map(|policy| format!("drop policy {policy};")),
                    );
                }
                Kind::View | Kind::Function => {
                    let what = if old.kind == Kind::View { "view" } else { "function" };
                    let names = old.creates.iter().rev();
                    let names = names
                        .filter(|name| self.dropped.contains(*name) && !by_hand.contains(*name));
                    drops.extend(names.map(|name| format!("drop {what} {name};")));
                }
                _ => {}
            }
        }
        Ok(drops)
    }

    /// Whether an old policy must be recreated: its file changed, was removed, or depends on
    /// something dropped.
    fn is_made_anew(&self, old: &Source) -> bool {
        let now = self.sources.iter().find(|source| source.path == old.path);
        now.is_none_or(|now| self.again.contains(&now.path) || self.is_changed(now))
    }
}

/// Whether an object can be dropped and recreated without losing data.
fn is_replaceable(kind: Kind) -> bool {
    matches!(kind, Kind::Function | Kind::View | Kind::Policy)
}

/// Whether the only change are additional rows. Existing rows stay, by `on conflict do nothing`.
fn only_adds_rows(before: &str, now: &str) -> bool {
    // The row that was the last one has a comma now.
    let lines = |text: &str| -> Vec<String> {
        let code = text::blanked(text, text::Blank::Comments);
        let lines = code.lines().map(|line| line.trim().trim_end_matches(',').to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    let (before, now) = (lines(before), lines(now));
    let mut left = now.iter();
    before.last().is_some_and(|last| last.ends_with("on conflict do nothing;"))
        && before.iter().all(|line| left.any(|later| later == line))
}

/// The view in `public` that a front creates.
fn front_view(front: &Source) -> Option<String> {
    let words = text::words(&text::blanked(&front.text, text::Blank::Comments));
    let at = words.windows(2).position(|pair| pair == ["create", "view"])?;
    words.get(at + 2).cloned()
}

/// Drops the view only if it is our front: another object may have the name by now.
fn drop_front(view: &str) -> String {
    format!(
        "do $front$
begin
  if obj_description(to_regclass('{view}'), 'pg_class') like 'Unstuck front of %' then
    drop view {view};
  end if;
end
$front$;"
    )
}
