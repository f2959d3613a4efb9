//! docs/data-model.md names every table and view, every column of jobs and steps, and every
//! invariant of the schema; and it names nothing that the schema does not have.

use std::collections::BTreeSet;

use unstuck_tests::{Database, sources};
use xtask::migration::Project;

const STATES: [&str; 8] =
    ["blocked", "pending", "queued", "starting", "running", "completed", "failed", "cancelled"];

fn page() -> String {
    sources::read("docs/data-model.md")
}

/// Every word in back-ticks outside of fenced blocks.
fn quoted(page: &str) -> BTreeSet<String> {
    let prose = page.split("```").step_by(2).collect::<String>();
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The part of the page under this heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    rest.split("\n#").next().unwrap_or_default()
}

async fn names(db: &Database, sql: &str) -> BTreeSet<String> {
    db.texts(sql).await.into_iter().collect()
}

async fn relations(db: &Database, kind: char) -> BTreeSet<String> {
    let sql = format!(
        "select case n.nspname when 'unstuck' then '' else n.nspname || '.' end || c.relname as name
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('unstuck', 'unstuck_private') and c.relkind = '{kind}'"
    );
    names(db, &sql).await
}

async fn columns(db: &Database, table: &str) -> BTreeSet<String> {
    let sql = format!(
        "select column_name::text as name from information_schema.columns
         where table_schema = 'unstuck' and table_name = '{table}'"
    );
    names(db, &sql).await
}

/// The names that the audit's functions select as their first column.
fn invariants() -> BTreeSet<String> {
    let audits = Project::here().sources().unwrap().into_iter().filter(|source| {
        source.path.starts_with("audit/violations_") && !source.path.contains("found")
    });
    let texts: Vec<String> = audits.map(|source| source.text).collect();
    let selected = texts.iter().flat_map(|text| text.split("select '").skip(1));
    selected.filter_map(|rest| rest.split('\'').next()).map(str::to_owned).collect()
}

fn missing(all: &BTreeSet<String>, named: &BTreeSet<String>) -> Vec<String> {
    all.difference(named).cloned().collect()
}

#[tokio::test]
async fn the_page_has_a_row_for_every_table_and_names_every_view() {
    let db = Database::fresh().await;
    let page = page();
    let rows: BTreeSet<String> = section(&page, "\n## Tables\n")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
        .collect();
    assert_eq!(rows, relations(&db, 'r').await);
    let mut views = relations(&db, 'v').await;
    views.retain(|view| !view.starts_with("unstuck_private."));
    assert_eq!(missing(&views, &quoted(section(&page, "\n## Views\n"))), [""; 0]);
}

#[tokio::test]
async fn the_page_says_who_writes_every_column_of_jobs_and_steps() {
    let db = Database::fresh().await;
    let page = page();
    for table in ["jobs", "job_steps"] {
        let written = section(&page, &format!("\n### Who writes which column of `{table}`\n"));
        let first_cells = written.lines().filter_map(|line| line.strip_prefix("| `"));
        let named: BTreeSet<String> = first_cells
            .filter_map(|line| line.split(" | ").next())
            .flat_map(|cell| cell.split(", ").map(|name| name.trim_matches('`').to_owned()))
            .collect();
        assert_eq!(named, columns(&db, table).await, "{table}");
    }
}

#[test]
fn the_page_lists_every_invariant_and_no_other() {
    let page = page();
    let listed = section(&page, "\n## Invariants\n").lines();
    let listed: BTreeSet<String> = listed
        .filter_map(|line| line.strip_prefix("* `")?.split('`').next().map(str::to_owned))
        .collect();
    let invariants = invariants();
    assert!(invariants.len() >= 12, "{invariants:?}");
    assert_eq!(listed, invariants);
}

#[tokio::test]
async fn every_name_on_the_page_is_one_of_the_schema() {
    let db = Database::fresh().await;
    let functions = names(
        &db,
        "select p.proname::text as name
         from pg_proc p join pg_namespace n on n.oid = p.pronamespace
         where n.nspname in ('unstuck', 'unstuck_private')",
    );
    let columns = "select column_name::text as name from information_schema.columns
         where table_schema in ('unstuck', 'unstuck_private')";
    let mut known = invariants();
    known.extend(functions.await);
    known.extend(names(&db, columns).await);
    known.extend(relations(&db, 'r').await);
    known.extend(relations(&db, 'v').await);
    known.extend(STATES.map(str::to_owned));
    known.extend(["unstuck", "unstuck_private"].map(str::to_owned));
    let is_name = |word: &String| {
        word.chars().all(|letter| letter.is_ascii_lowercase() || "_.0123456789".contains(letter))
    };
    let named = quoted(&page()).into_iter().filter(is_name).collect();
    assert_eq!(missing(&named, &known), [""; 0]);
}
