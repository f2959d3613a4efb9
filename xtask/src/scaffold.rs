//! `cargo xtask new-function <name>` writes the files of a new function or tool as far as a program
//! can. It overwrites nothing.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::command::say;
use crate::migration::Project;
use crate::{function, generate, paths};

const MANIFEST: &str = include_str!("../templates/Cargo.toml.txt");
const FUNCTION: &str = include_str!("../templates/function.rs.txt");
const FUNCTION_TOML: &str = include_str!("../templates/function.toml.txt");
const TOOL_TOML: &str = include_str!("../templates/tool.toml.txt");
const RUNNINGHUB: &str = include_str!("../templates/runninghub.rs.txt");
const RUNNINGHUB_TOML: &str = include_str!("../templates/runninghub.toml.txt");
const STUDIO: &str = include_str!("../templates/studio.js.txt");
const E2E: &str = include_str!("../templates/e2e.rs.txt");
const OPENAPI: &str = include_str!("../templates/openapi.yaml.txt");
/// The line of the contract that follows the list of the tools' names.
const AFTER_NAMES: &str = "      description: The name of the tool's function\n";

const LANGUAGES: [&str; 4] = ["en", "pt", "ru", "uk"];
const ROWS: &str = "supabase/schemas/tool/known_tools.sql";

/// What a tool has in addition to a function.
#[derive(Clone, Debug)]
pub struct NewTool {
    /// The provider's id in `providers`.
    pub provider: String,
    /// The price in credits.
    pub price: u32,
}

pub fn new_function(name: &str, tool: Option<&NewTool>) -> Result<()> {
    if !is_name(name) {
        bail!("{name} is no function name: lower-case letters, digits and hyphens, a letter first");
    }
    let dir = paths::root().join("functions").join(name);
    if dir.exists() {
        bail!("functions/{name} exists");
    }
    let of_runninghub = tool.is_some_and(|tool| tool.provider == "runninghub");
    let (source, declaration) = match tool {
        None => (FUNCTION, FUNCTION_TOML.to_owned()),
        Some(_) if of_runninghub => (RUNNINGHUB, RUNNINGHUB_TOML.to_owned()),
        Some(tool) => (FUNCTION, tool_declaration(tool)?),
    };
    // This fails for an unknown provider before anything is written.
    let rows = tool.map(|tool| edited(ROWS, |text| with_row(text, name, tool))).transpose()?;
    let quota = if tool.is_some() { " as Order" } else { "" };
    let source = source.replace("{quota}", quota).replace("{Type}", &type_name(name));
    std::fs::create_dir_all(dir.join("src"))?;
    write(&dir.join("Cargo.toml"), &MANIFEST.replace("{name}", name))?;
    write(&dir.join("src/lib.rs"), &source.replace("{name}", name))?;
    write(&dir.join("function.toml"), &declaration.replace("{name}", name))?;
    e2e_module(name, of_runninghub)?;
    if let Some(rows) = rows {
        write(&paths::root().join(ROWS), &rows)?;
        write(&dir.join("studio.js"), STUDIO)?;
        words(name)?;
        let migration = Project::here().make_next(&format!("tool_{}", name.replace('-', "_")))?;
        say(format_args!("supabase/migrations/{migration}"));
    }
    if of_runninghub {
        let last = ": *queueStatus\n";
        let openapi = edited("openapi.yaml", |text| {
            let end = text.rfind(last)? + last.len();
            let (names, rest) = text[end..].split_once(AFTER_NAMES)?;
            let added = OPENAPI.replace("{name}", name);
            Some(format!("{}{added}{names}        - {name}\n{AFTER_NAMES}{rest}", &text[..end]))
        })?;
        write(&paths::root().join("openapi.yaml"), &openapi)?;
    }
    generate::write()?;
    say(format_args!("wrote functions/{name}; now write its code and its answer in openapi.yaml"));
    if tool.is_some() {
        say("translate its words in web/words: a name and two short sentences in four languages");
    }
    Ok(())
}

/// The part of a tool's declaration with a limiter of its own.
fn tool_declaration(tool: &NewTool) -> Result<String> {
    let functions = function::all()?;
    let limiters = functions.iter().flat_map(|function| &function.ratelimits);
    let orders = limiters.filter(|limit| limit.binding == function::ORDER_LIMITER.1);
    let limiter = orders.map(|limit| limit.namespace).max().unwrap_or(1000) + 1;
    Ok(TOOL_TOML.replace("{provider}", &tool.provider).replace("{limiter}", &limiter.to_string()))
}

/// Copies the row of the provider's last tool, with another name and price.
fn with_row(text: &str, name: &str, tool: &NewTool) -> Option<String> {
    let provider = format!("'{}', ", tool.provider);
    // A price follows the provider of a tool. A tool's exclusive group may have the same name, and
    // an interval in quotes follows it.
    let is_priced = |at: &usize| text[at + provider.len()..].starts_with(|c: char| c.is_numeric());
    let at = text.match_indices(&provider).map(|(at, _)| at).filter(is_priced).last()?;
    let price = at + provider.len();
    let start = text[..at].rfind("\n  (\n")? + 1;
    let end = price + text[price..].find("\n  )")? + "\n  )".len();
    let table = text[start..at].lines().last()?;
    let after_price = price + text[price..].find(',')?;
    let row = format!(
        "  (\n    '{name}',\n{table}{provider}{}{}",
        tool.price,
        text.get(after_price..end)?
    );
    let (rows, rest) = text.split_once("\n  )\non conflict")?;
    Some(format!("{rows}\n  ),\n{row}\non conflict{rest}"))
}

/// Writes a module of the end-to-end tests with a first test.
fn e2e_module(name: &str, of_runninghub: bool) -> Result<()> {
    let module = name.replace('-', "_");
    let folder = paths::root().join("tests/e2e");
    let target = if of_runninghub { format!("{name}/run") } else { name.to_owned() };
    let text = E2E.replace("{name}", name).replace("{target}", &target);
    write(&folder.join(format!("{module}.rs")), &text)?;
    let main = edited("tests/e2e/main.rs", |text| {
        let line = format!("mod {module};\n");
        let later = |at: &usize| text[*at..].starts_with("mod ") && text[*at..] > *line.as_str();
        let lines = text.match_indices('\n').map(|(at, _)| at + 1);
        let at = lines.into_iter().find(later).unwrap_or(text.len());
        Some(format!("{}{line}{}", &text[..at], &text[at..]))
    })?;
    write(&folder.join("main.rs"), &main)
}

/// Adds three words after those of the last tool, in every language. A person translates them.
fn words(name: &str) -> Result<()> {
    for language in LANGUAGES {
        let path = format!("web/words/{language}.js");
        let text = edited(&path, |text| {
            let last = text.rfind("\n  \"do_")? + 1;
            let end = last + text[last..].find('\n')? + 1;
            let mut words = String::new();
            for kind in ["tool", "about", "do"] {
                let _ = writeln!(words, "  \"{kind}_{name}\": \"{name}\",");
            }
            Some(format!("{}{words}{}", &text[..end], &text[end..]))
        })?;
        write(&paths::root().join(&path), &text)?;
    }
    Ok(())
}

/// The changed text of a file of the checkout.
fn edited(path: &str, change: impl FnOnce(&str) -> Option<String>) -> Result<String> {
    let text = std::fs::read_to_string(paths::root().join(path))
        .with_context(|| format!("cannot read {path}"))?;
    change(&text).with_context(|| format!("cannot find where to change {path}"))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// `paint-cats` → `PaintCats`.
fn type_name(name: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    name.split('-').map(capital).collect()
}

fn is_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_urls_and_bindings_can_hold() {
        assert!(is_name("generate-website2"));
        assert_eq!(type_name("generate-website2"), "GenerateWebsite2");
        for bad in ["", "2d", "Paint", "paint_cats", "../x"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_tool_of_an_unknown_provider_is_refused() {
        let rows = std::fs::read_to_string(paths::root().join(ROWS)).unwrap();
        let tool = |provider: &str| NewTool { provider: provider.to_owned(), price: 7 };
        assert_eq!(with_row(&rows, "paint-cats", &tool("nobody")), None);
        let edited = with_row(&rows, "paint-cats", &tool("llm")).unwrap();
        let row = "  ),\n  (\n    'paint-cats',\n    'generation_history', 'llm', 7, 'job', ";
        assert!(edited.contains(row), "{edited}");
    }
}
