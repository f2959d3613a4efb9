//! The documents: short where people begin, as wide as a screen, and every link leads somewhere.

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
