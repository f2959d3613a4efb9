//! No committed line is wider than 100 columns.

use std::path::Path;

use unstuck_tests::sources;

use crate::tidy::written;

/// Files outside `tests/` that still have wide lines. Remove an entry when its lines are narrow;
/// add none.
const STILL_WIDE: [&str; 15] = [
    "clippy.toml",
    "deny.toml",
    "web/client.d.ts",
    "xtask/src/bench/cards.rs",
    "xtask/src/bench/enqueue.rs",
    "xtask/src/bench/mod.rs",
    "xtask/src/bench/sweep.rs",
    "xtask/src/bench/year.rs",
    "xtask/src/keys.rs",
    "xtask/src/migration/file.rs",
    "xtask/src/migration/mod.rs",
    "xtask/src/migration/text.rs",
    "xtask/src/schema.rs",
    "xtask/src/tools.rs",
    "xtask/src/workers.rs",
];

/// Whose lines follow from a tool or from the outside world, and are not ours to break.
fn may_be_wide(file: &Path) -> bool {
    let name = file.to_string_lossy();
    ["tests/hosts/fixtures/", "supabase/migrations/"].iter().any(|folder| name.starts_with(folder))
        || ["supabase/schema.sql", "wrangler.toml", "openapi.yaml"].contains(&&*name)
        || STILL_WIDE.contains(&&*name)
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
    for file in STILL_WIDE {
        let text = sources::read(file);
        let wide = text.lines().any(|line| line.chars().count() > 100);
        assert!(wide, "{file} is narrow by now: remove it from STILL_WIDE");
    }
}
