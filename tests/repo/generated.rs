//! The files that `cargo xtask generate` makes are the ones that it would make now.

use std::collections::BTreeSet;

use shared::core::config::GROUPS;
use xtask::{function, generate};

#[test]
fn every_generated_file_is_what_generate_would_write() {
    generate::check().unwrap();
}

#[test]
fn every_setting_is_read_by_a_function_and_explained() {
    let functions = function::all().unwrap();
    let read: BTreeSet<&str> =
        functions.iter().flat_map(|function| function.variables()).map(String::as_str).collect();
    let settings: BTreeSet<&str> =
        GROUPS.iter().flat_map(|group| group.settings).map(|setting| setting.name).collect();
    assert!(settings.len() > 30, "{settings:?}");
    assert_eq!(settings, read, "settings in core/config, and those that some function reads");
    let explained = unstuck_tests::sources::read("docs/configuration.md");
    for name in settings {
        assert!(explained.contains(&format!("`{name}`")), "docs/configuration.md lacks {name}");
    }
}
