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

/// The names that serde knows of a type: fields of a struct, words of an enum.
fn script_words(item: &syn::Item) -> Vec<String> {
    let renamed = |attributes: &[syn::Attribute]| {
        let of_serde = attributes.iter().find(|attribute| attribute.path().is_ident("serde"))?;
        let text = of_serde.meta.require_list().ok()?.tokens.to_string();
        text.strip_prefix("rename = \"")?.strip_suffix('"').map(str::to_owned)
    };
    let flattened = |field: &&syn::Field| {
        let is_flat = |attribute: &syn::Attribute| {
            attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "flatten")
        };
        field.attrs.iter().any(is_flat)
    };
    match item {
        syn::Item::Struct(item)
            if ["Behaviour", "RawRule"].iter().any(|name| item.ident == name) =>
        {
            let fields = item.fields.iter().filter(|field| !flattened(field));
            let name = |field: &syn::Field| Some(field.ident.as_ref()?.to_string());
            fields.filter_map(|field| renamed(&field.attrs).or_else(|| name(field))).collect()
        }
        syn::Item::Enum(item) => {
            let words = item.variants.iter().map(|variant| variant.ident.to_string());
            let snake = |word: String| {
                let parts = word.split_inclusive(|_: char| true).map(str::to_owned);
                let parts = parts.map(|letter| match letter.to_lowercase() {
                    small if small != letter => format!("_{small}"),
                    small => small,
                });
                format!("\"{}\"", parts.collect::<String>().trim_start_matches('_'))
            };
            words.map(snake).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_word_of_a_script_is_explained_to_an_app_that_tests_itself() {
    let source = sources::read("stand-ins/src/providers/script.rs");
    let source = syn::parse_file(&source).expect("Rust");
    let words: Vec<String> = source.items.iter().flat_map(script_words).collect();
    assert!(words.len() > 35, "{words:?}");
    let page = sources::read("docs/testing-your-app.md");
    let missing: Vec<&String> =
        words.iter().filter(|word| !page.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "docs/testing-your-app.md does not explain {missing:?}");
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
