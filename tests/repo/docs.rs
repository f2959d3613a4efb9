//! The documents: short where people begin, as wide as a screen, and every link leads somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use unstuck_tests::sources;

/// Every Markdown file that somebody wrote, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let files = sources::committed().into_iter();
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.map(|file| (file.clone(), sources::read(&file))).collect()
}

/// The text without its fenced blocks.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The targets of the links and pictures of a page.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(str::to_owned).collect()
}

/// The anchors that a reader of the rendered page can link to.
fn anchors(text: &str) -> Vec<String> {
    let prose = prose(text);
    let titles = prose.lines().filter(|line| line.starts_with('#'));
    let titles = titles.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let anchor = |title: String| {
        let kept =
            title.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.collect::<String>().replace(' ', "-")
    };
    titles.map(anchor).collect()
}

#[test]
fn the_readme_is_read_in_one_go() {
    let lines = sources::read("README.md").lines().count();
    assert!(lines <= 90, "README.md has {lines} lines");
}

/// The text without what a command writes, which stands between `<!-- name -->` and
/// `<!-- /name -->`.
fn by_hand(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!-- ") {
        let (name, after) = after.split_once(" -->").expect("a comment ends");
        kept.push_str(before);
        rest = after.split_once(&format!("<!-- /{name} -->")).map_or(after, |(_, after)| after);
    }
    kept + rest
}

#[test]
fn a_line_is_at_most_a_hundred_columns_wide() {
    let mut wide = Vec::new();
    for (file, text) in pages() {
        let by_hand = by_hand(&text);
        let lines = by_hand.lines().filter(|line| line.chars().count() > 100);
        wide.extend(lines.map(|line| format!("{}: {line}", file.display())));
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

/// Whether a file names another document that is part of the repository.
fn is_here(named: &str, file: &Path, pages: &[(PathBuf, String)]) -> bool {
    let beside = file.parent().unwrap_or(Path::new("")).join(named);
    let by_name = |(page, _): &(PathBuf, String)| {
        page.file_name().is_some_and(|name| name.to_string_lossy() == named)
    };
    sources::root().join(beside).exists()
        || sources::root().join(named).exists()
        || pages.iter().any(by_name)
}

#[test]
fn no_file_names_a_document_that_is_not_here() {
    let pages = pages();
    let text_of = |file: &PathBuf| std::fs::read_to_string(sources::root().join(file)).ok();
    let mut missing = Vec::new();
    for file in sources::committed() {
        let Some(text) = text_of(&file) else { continue };
        for (at, _) in text.match_indices(".md") {
            let after = text[at + 3..].chars().next();
            let is_end = !after.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
            let letter = |letter: &char| letter.is_alphanumeric() || "_-./".contains(*letter);
            let named: String = text[..at].chars().rev().take_while(letter).collect();
            let named: String = named.chars().rev().collect::<String>() + ".md";
            if is_end && named != ".md" && !is_here(&named, &file, &pages) {
                missing.push(format!("{}: {named}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_glossary_is_short_and_each_word_is_once() {
    let page = sources::read("ARCHITECTURE.md");
    let words = page.split("\n## Words\n").nth(1).expect("ARCHITECTURE.md has its glossary");
    let words = words.split("\n## ").next().unwrap_or_default();
    let rows = words.lines().filter_map(|line| line.strip_prefix("| **")?.split("**").next());
    let rows: Vec<&str> = rows.collect();
    assert!((20..=30).contains(&rows.len()), "{} words", rows.len());
    let once: BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!(once.len(), rows.len(), "the glossary explains a word twice");
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for (file, text) in pages() {
        let folder = file.parent().unwrap_or(Path::new(""));
        for link in links(&text).iter().filter(|link| !link.starts_with("https://")) {
            seen += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { file.clone() } else { folder.join(path) };
            let found = sources::root().join(&target).exists();
            let is_page = target.extension().is_some_and(|extension| extension == "md");
            let has_anchor = anchor.is_empty()
                || found
                    && is_page
                    && anchors(&sources::read(&target)).iter().any(|known| known == anchor);
            if !found || !has_anchor {
                broken.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(seen > 20, "{seen} links");
    assert!(broken.is_empty(), "no such file or title:\n{}", broken.join("\n"));
}

/// The table of what an operator does names a test for each task, and the codes of alerts lead to
/// the same question in the document and in the page.
#[test]
fn the_operators_tasks_have_tests_and_the_alerts_have_questions() {
    let page = sources::read("docs/watching.md");
    let rows = page.lines().filter(|line| line.starts_with("| ")).map(|line| {
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let tasks: Vec<&Vec<String>> =
        rows.iter().filter(|row| row[row.len() - 1].contains("::")).collect();
    assert!(tasks.len() > 20, "{tasks:?}");
    for row in tasks {
        let (module, test) = row[3].split_once("::").unwrap();
        let text = sources::read(format!("tests/e2e/{module}.rs"));
        assert!(text.contains(&format!("fn {test}")), "{row:?}");
        let words = sources::read("web/words/admin/en.js");
        assert!(row[2] == "–" || words.contains(&format!("  act_{}:", row[2])), "{row:?}");
    }
    let questions = sources::read("web/admin/questions.js");
    let alerts = page.split("| `code` | it means | question |").nth(1).unwrap();
    let alerts = alerts.split("\n\n").next().unwrap().lines().skip(2);
    for line in alerts {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let leads = format!("  {}: {},", cells[0].replace('`', ""), cells[2]);
        assert!(questions.contains(&leads), "{leads}");
    }
}
