//! The words of the pages: every language has every key, and the words of every tool that is sold.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use unstuck_tests::{Database, sources};
use xtask::paths;

/// Keys by the language that has them, or by the tool that needs them.
type WordKeys = BTreeMap<String, BTreeSet<String>>;

/// The keys of every language, and those that each tool of the studio needs.
fn words() -> (WordKeys, WordKeys) {
    let mut node = Command::new(paths::node_bin("node"));
    let output = node
        .arg(paths::root().join("tests/client/words.mjs"))
        .env("NODE_NO_WARNINGS", "1")
        .output()
        .expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut printed: Value = serde_json::from_slice(&output.stdout).expect("words.mjs prints JSON");
    let mut keys =
        |name: &str| serde_json::from_value(printed[name].take()).expect("lists of keys");
    (keys("languages"), keys("tools"))
}

#[test]
fn every_language_has_every_word() {
    let (languages, _) = words();
    let english = &languages["en"];
    assert!(english.contains("read_failed") && english.len() > 100, "{english:?}");
    let names: Vec<&str> = languages.keys().map(String::as_str).collect();
    assert_eq!(names, ["en", "pt", "ru", "uk"]);
    for (language, keys) in &languages {
        let different: Vec<_> = english.symmetric_difference(keys).collect();
        assert!(
            different.is_empty(),
            "web/words/en.js and web/words/{language}.js differ in {different:?}"
        );
    }
}

/// What is stuck and which invariants are violated has a tile of its own.
#[test]
fn every_code_of_an_alert_has_words() {
    let (languages, _) = words();
    let page = std::fs::read_to_string(paths::root().join("docs/watching.md")).unwrap();
    let table = page.split("\n| `code` |").nth(1).expect("watching.md lists the codes");
    let table = table.split("\n\n").next().unwrap_or_default();
    let codes = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let codes: Vec<&str> = codes.filter(|code| !["stuck", "invariants"].contains(code)).collect();
    assert!(codes.len() >= 7, "{codes:?}");
    for code in codes {
        let key = format!("degraded_{code}");
        assert!(languages["en"].contains(&key), "web/words/admin/en.js has no {key}");
    }
}

#[tokio::test]
async fn every_tool_that_is_sold_is_in_the_studio_in_every_language() {
    let db = Database::fresh().await;
    let (languages, tools) = words();
    for row in db.rows("select tool from unstuck.tools where enabled").await {
        let tool = row["tool"].as_str().unwrap();
        let needed = tools.get(tool).unwrap_or_else(|| panic!("no functions/{tool}/studio.js"));
        for (language, keys) in &languages {
            let missing: Vec<_> = needed.difference(keys).collect();
            assert!(missing.is_empty(), "{tool}: web/words/{language}.js has no {missing:?}");
        }
    }
}

/// `client.js` goes by the family of a tool and the studio by the tool's own declaration.
#[tokio::test]
async fn no_page_lists_the_tools() {
    let db = Database::fresh().await;
    let tools = db.rows("select tool from unstuck.tools").await;
    let scripts = sources::committed().into_iter().filter(|file| {
        let is_script = file.extension().is_some_and(|extension| extension == "js");
        file.starts_with("web") && !file.starts_with("web/words") && is_script
    });
    let mut seen = 0;
    for file in scripts {
        seen += 1;
        let text = sources::read(&file);
        let is_comment = |line: &&str| line.trim_start().starts_with(['/', '*']);
        let code: String = text.lines().filter(|line| !is_comment(line)).collect();
        for row in &tools {
            let tool = row["tool"].as_str().unwrap();
            assert!(!code.contains(tool), "{} names the tool {tool}", file.display());
        }
    }
    assert!(seen > 20, "{seen} scripts in web");
}
