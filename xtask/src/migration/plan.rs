//! What goes into the next migration: everything into the first, what changed into a later one.

use anyhow::{Result, bail};

use super::file::{self, Body, Name, Part};
use super::source::Source;

/// The text of migration `name`, which follows `earlier`, from the sources as they are.
pub fn migration(
    name: &Name,
    earlier: &[(Name, String)],
    sources: &[Source],
    by_hand: Option<&str>,
) -> Result<String> {
    if sources.is_empty() {
        bail!("there is nothing in supabase/schemas");
    }
    if !earlier.is_empty() {
        bail!("later migrations are not made yet");
    }
    let body = Body {
        by_hand: by_hand.unwrap_or_default().into(),
        drops: Vec::new(),
        parts: sources.iter().cloned().map(Part::Whole).collect(),
    };
    Ok(file::compose(name, &body))
}
