//! No committed line is wider than 100 columns.

use std::path::Path;

use crate::tidy::written;

/// Whose lines follow from a tool or from the outside world, and are not ours to break.
fn may_be_wide(file: &Path) -> bool {
    let name = file.to_string_lossy();
    ["tests/hosts/fixtures/", "supabase/migrations/"].iter().any(|folder| name.starts_with(folder))
        || ["supabase/schema.sql", "wrangler.toml"].contains(&&*name)
}

#[test]
fn no_line_is_wider_than_100_columns() {
    const KINDS: [&str; 11] =
        ["rs", "sql", "js", "mjs", "ts", "md", "toml", "yaml", "yml", "html", "css"];
    let mut wide = Vec::new();
    for (file, text) in written() {
        let kind = file.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        if !KINDS.contains(&kind) || may_be_wide(&file) {
            continue;
        }
        // A cell of a table and an address cannot be broken in Markdown.
        let breakable = |line: &str| {
            kind != "md" || !(line.starts_with('|') || line.trim_start().starts_with('<'))
        };
        for (number, line) in text.lines().enumerate() {
            if line.chars().count() > 100 && breakable(line) {
                wide.push(format!("{}:{}", file.display(), number + 1));
            }
        }
    }
    assert!(wide.is_empty(), "lines wider than 100 columns: {wide:#?}");
}
