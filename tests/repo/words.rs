//! The words of the pages: every language has every key, and the words of every tool that is sold.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use unstuck_tests::Database;
use xtask::paths;

/// The keys of each language's words, by the language's code.
fn keys() -> BTreeMap<String, BTreeSet<String>> {
    let mut node = Command::new(paths::node_bin("node"));
    let output =
        node.arg(paths::root().join("tests/client/words.mjs")).output().expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("words.mjs prints JSON")
}

#[test]
fn every_language_has_every_word() {
    let keys = keys();
    let english = &keys["en"];
    assert!(english.contains("read_failed") && english.len() > 100, "{english:?}");
    let languages: Vec<&str> = keys.keys().map(String::as_str).collect();
    assert_eq!(languages, ["en", "pt", "ru", "uk"]);
    for (language, words) in &keys {
        let different: Vec<_> = english.symmetric_difference(words).collect();
        assert!(
            different.is_empty(),
            "web/words/en.js and web/words/{language}.js differ in {different:?}"
        );
    }
}

#[tokio::test]
async fn every_tool_that_is_sold_has_its_words() {
    let db = Database::fresh().await;
    let keys = keys();
    for row in db.rows("select tool from unstuck.tools where enabled").await {
        let tool = row["tool"].as_str().unwrap();
        for (language, words) in &keys {
            for key in [format!("tool_{tool}"), format!("about_{tool}"), format!("do_{tool}")] {
                assert!(words.contains(&key), "web/words/{language}.js has no `{key}`");
            }
        }
    }
}
