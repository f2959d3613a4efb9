//! docs/requirements.md: each requirement leads to files that exist and hold what they are named
//! for.

use std::collections::BTreeSet;

use unstuck_tests::sources;

/// One link of the page: its label, and its path in the repository.
struct RequirementLink {
    label: String,
    path: String,
}

/// One requirement with the links of each of its lines.
struct Requirement {
    id: String,
    decides: Vec<RequirementLink>,
    way: Vec<RequirementLink>,
    tests: Vec<RequirementLink>,
}

fn requirements() -> Vec<Requirement> {
    let page = sources::read("docs/requirements.md");
    let sections = page.split("\n### ").skip(1);
    sections
        .map(|section| {
            let (id, text) = section.split_once('\n').expect("an id and a text");
            let text = text.split("\n## ").next().unwrap_or_default();
            Requirement {
                id: id.to_owned(),
                decides: links(text, "decides"),
                way: links(text, "way"),
                tests: links(text, "test"),
            }
        })
        .collect()
}

/// The links of the list item that begins with `kind`.
fn links(text: &str, kind: &str) -> Vec<RequirementLink> {
    let item = text.split("\n- ").find(|item| item.starts_with(&format!("{kind}:")));
    let links = item.unwrap_or_default().split('[').skip(1);
    links
        .map(|link| {
            let (label, rest) = link.split_once("](").expect("a link has a label and a target");
            let path = rest.split(')').next().unwrap_or_default();
            let inside = || format!("docs/{path}");
            RequirementLink {
                label: label.to_owned(),
                path: path.strip_prefix("../").map_or_else(inside, str::to_owned),
            }
        })
        .collect()
}

#[test]
fn every_link_of_a_requirement_holds_what_it_names() {
    let committed: BTreeSet<_> = sources::committed().into_iter().collect();
    let mut wrong = Vec::new();
    for requirement in requirements() {
        let Requirement { id, decides, way, tests } = requirement;
        for RequirementLink { label, path } in decides.iter().chain(&way).chain(&tests) {
            if !committed.contains(std::path::Path::new(path)) {
                wrong.push(format!("{id}: there is no {path}"));
                continue;
            }
            let name = label.strip_prefix('`').and_then(|label| label.strip_suffix('`'));
            if name.is_some_and(|name| !sources::read(path).contains(name)) {
                wrong.push(format!("{id}: {path} does not name {label}"));
            }
        }
    }
    assert!(wrong.is_empty(), "docs/requirements.md:\n{}", wrong.join("\n"));
}

#[test]
fn every_requirement_is_decided_somewhere_and_has_a_test() {
    let mut ids = BTreeSet::new();
    for requirement in requirements() {
        let id = requirement.id;
        assert!(!requirement.decides.is_empty(), "{id}: what decides it?");
        assert!(!requirement.tests.is_empty(), "{id}: which test shows it?");
        for test in requirement.tests {
            assert!(test.path.starts_with("tests/"), "{id}: {} is no test", test.path);
            assert!(
                sources::read(&test.path).contains("#[test]")
                    || sources::read(&test.path).contains("#[tokio::test"),
                "{id}: {}",
                test.path
            );
        }
        assert!(ids.insert(id.clone()), "{id} is there twice");
    }
    assert!(ids.len() >= 46, "{} requirements", ids.len());
}

/// A reader follows a requirement through five files at most, the retry of a website through eight.
#[test]
fn a_requirement_is_followed_through_few_files() {
    for requirement in requirements() {
        let Requirement { id, decides, way, tests } = requirement;
        let files: BTreeSet<&str> =
            decides.iter().chain(&way).chain(&tests).map(|link| link.path.as_str()).collect();
        let most = if ["E2", "E3"].contains(&id.as_str()) { 8 } else { 5 };
        assert!(files.len() <= most, "{id}: {} files", files.len());
    }
}
