//! Reads from a source file its kind, what it creates and what it needs, and orders the sources.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use super::file::MARKER;
use super::text::{self, Blank};

/// The kinds in the order in which a migration creates them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Schema,
    Type,
    Table,
    Function,
    View,
    Policy,
    Rows,
    /// A view or function under an old name in `public`.
    Front,
    /// Schedules and publications.
    Platform,
}

/// A file below `supabase/schemas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `<subject>/<name>.sql`
    pub path: String,
    pub text: String,
    pub kind: Kind,
    /// The qualified names of the created objects, in lower case.
    pub creates: Vec<String>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Result<Self> {
        let text = format!("{}\n", text.trim_end());
        if text.lines().any(|line| line.starts_with(MARKER)) {
            bail!(
                "supabase/schemas/{path}: a line that begins with `{MARKER}` \
                 is read as a part's head"
            );
        }
        let statements: Vec<Vec<String>> =
            text::statements(&text).into_iter().map(code_words).collect();
        // The files of these folders are `do` blocks, which do not tell their kind.
        let by_folder = || match path.split('/').next() {
            Some("front") => Some(Kind::Front),
            Some("platform") => Some(Kind::Platform),
            _ => None,
        };
        let of_statement = statements.iter().find_map(|words| kind_of(words));
        let kind = of_statement.or_else(by_folder).with_context(|| {
            format!(
                "supabase/schemas/{path} creates nothing that has a place in a migration: \
                 begin with create schema, type, table, function, view or policy, \
                 or with insert into"
            )
        })?;
        let creates = match kind {
            Kind::Front | Kind::Platform => Vec::new(),
            _ => {
                statements.iter().filter_map(|words| created(words)).map(|(_, name)| name).collect()
            }
        };
        Ok(Self { path: path.into(), text, kind, creates })
    }

    /// The first 12 digits of the text's SHA-256.
    pub fn hash(&self) -> String {
        super::sha256(&self.text)[..12].into()
    }

    /// The words of each function's arguments and result, by the function's name.
    pub fn headers(&self) -> BTreeMap<String, Vec<String>> {
        let statements = text::statements(&self.text);
        let functions = statements.into_iter().filter_map(|statement| {
            let (what, name) = created(&code_words(statement))?;
            ["function", "procedure"].contains(&what.as_str()).then(|| (name, header(statement)))
        });
        functions.collect()
    }

    /// Each policy of the file as `<policy> on <table>`.
    pub fn policies(&self) -> Vec<String> {
        let statements = text::statements(&self.text).into_iter().map(code_words);
        let policies = statements.filter_map(|words| match words.as_slice() {
            [create, policy, name, on, table, ..]
                if create == "create" && policy == "policy" && on == "on" =>
            {
                Some(format!("{name} on {table}"))
            }
            _ => None,
        });
        policies.collect()
    }

    fn needs(&self) -> BTreeSet<String> {
        match self.kind {
            // These kinds are created last, by path.
            Kind::Rows | Kind::Front | Kind::Platform => BTreeSet::new(),
            _ => text::mentions(&self.text),
        }
    }
}

fn code_words(statement: &str) -> Vec<String> {
    text::words(&text::blanked(statement, Blank::AllButCode))
}

fn kind_of(words: &[String]) -> Option<Kind> {
    if let [insert, into, ..] = words
        && (insert.as_str(), into.as_str()) == ("insert", "into")
    {
        return Some(Kind::Rows);
    }
    if let [create, policy, ..] = words
        && (create.as_str(), policy.as_str()) == ("create", "policy")
    {
        return Some(Kind::Policy);
    }
    Some(match created(words)?.0.as_str() {
        "schema" => Kind::Schema,
        "type" | "domain" => Kind::Type,
        "table" | "sequence" => Kind::Table,
        "function" | "procedure" => Kind::Function,
        _ => Kind::View,
    })
}

/// What the statement creates, such as (table, unstuck.jobs).
fn created(words: &[String]) -> Option<(String, String)> {
    let mut words = words.iter().map(String::as_str);
    if words.next()? != "create" {
        return None;
    }
    let what = words
        .find(|word| !["or", "replace", "unlogged", "materialized", "recursive"].contains(word))?;
    if !["schema", "type", "domain", "table", "sequence", "function", "procedure", "view"]
        .contains(&what)
    {
        return None;
    }
    let name = words.find(|word| !["if", "not", "exists"].contains(word))?;
    Some((what.into(), name.replace('"', "")))
}

/// The words before the first clause about how the function runs.
fn header(statement: &str) -> Vec<String> {
    const CLAUSES: [&str; 14] = [
        "language",
        "stable",
        "immutable",
        "volatile",
        "strict",
        "security",
        "set",
        "as",
        "cost",
        "rows",
        "parallel",
        "called",
        "leakproof",
        "return",
    ];
    let words = text::words(&text::blanked(statement, Blank::Comments));
    let mut depth = 0;
    let end = words.iter().position(|word| {
        depth += i32::from(word == "(") - i32::from(word == ")");
        depth == 0 && CLAUSES.contains(&word.as_str())
    });
    words
        .into_iter()
        .take(end.unwrap_or(usize::MAX))
        .filter(|word| word != "or" && word != "replace")
        .collect()
}

/// Orders the sources by kind, then by path, but each after the sources whose objects it names.
pub fn in_order(mut sources: Vec<Source>) -> Result<Vec<Source>> {
    sources.sort_by(|one, other| (one.kind, &one.path).cmp(&(other.kind, &other.path)));
    let mut makers: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, source) in sources.iter().enumerate() {
        for name in &source.creates {
            if let Some(other) = makers.insert(name, at).filter(|other| *other != at) {
                bail!("both {} and {} create {name}", sources[other].path, source.path);
            }
        }
    }
    let needs: Vec<BTreeSet<usize>> = sources
        .iter()
        .enumerate()
        .map(|(at, source)| {
            let needed =
                source.needs().into_iter().filter_map(|name| makers.get(name.as_str()).copied());
            needed.filter(|needed| *needed != at).collect()
        })
        .collect();
    let mut order: Vec<usize> = Vec::new();
    let mut left: BTreeSet<usize> = (0..sources.len()).collect();
    while !left.is_empty() {
        let Some(next) = left.iter().copied().find(|at| needs[*at].is_disjoint(&left)) else {
            bail!("these sources need each other: {}", circle(&sources, &needs, &left));
        };
        left.remove(&next);
        order.push(next);
    }
    Ok(order.into_iter().map(|at| sources[at].clone()).collect())
}

/// A circle of dependencies among the sources that are left: `a → b → a`.
fn circle(sources: &[Source], needs: &[BTreeSet<usize>], left: &BTreeSet<usize>) -> String {
    let mut walk: Vec<usize> = left.iter().copied().take(1).collect();
    loop {
        let last = walk.last().copied().unwrap_or_default();
        // Each remaining source needs another remaining one, so the walk ends in a circle.
        let next = needs[last].iter().copied().find(|at| left.contains(at)).unwrap_or(last);
        if let Some(start) = walk.iter().position(|at| *at == next) {
            let names = walk[start..].iter().chain([&next]).map(|at| sources[*at].path.as_str());
            return names.collect::<Vec<_>>().join(" → ");
        }
        walk.push(next);
    }
}
