//! `packages/client`: its types, its parts that need no server, and how much a page loads of it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Output};

use flate2::Compression;
use flate2::write::GzEncoder;
use unstuck_tests::sources;
use xtask::paths;

/// What a page loads before it runs its first job, in compressed bytes.
const BYTES_MAX: usize = 7 * 1024;

pub fn node(script: &str, args: &[&str]) -> Output {
    let mut node = Command::new(paths::node_bin("node"));
    node.arg(paths::root().join(script)).args(args).current_dir(paths::root());
    let output = node.output().expect("node runs");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{script}:\n{}\n{}",
        said(&output.stdout),
        said(&output.stderr)
    );
    output
}

#[test]
fn its_types_are_right() {
    node("node_modules/typescript/lib/tsc.js", &["--noEmit", "--project", "packages/client"]);
}

#[test]
fn the_one_files_types_declare_the_values_that_it_exports() {
    let (script, types) = (sources::read("web/client.js"), sources::read("web/client.d.ts"));
    let list = script.split("export {").nth(1).and_then(|rest| rest.split('}').next());
    let exported: BTreeSet<&str> =
        list.expect("a list of exports").split(',').map(str::trim).collect();
    let declared = types.lines().filter_map(|line| {
        let (kind, rest) = line.strip_prefix("export declare ")?.split_once(' ')?;
        let is_value = ["function", "const", "class"].contains(&kind);
        rest.split(|letter: char| !letter.is_alphanumeric()).next().filter(|_| is_value)
    });
    let declared: BTreeSet<&str> = declared.collect();
    assert_eq!(declared, exported);
}

#[test]
fn the_parts_that_need_no_server_do_what_they_should() {
    node("packages/client/test.mjs", &[]);
}

/// The files that a built file imports at once.
fn imports(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split("from\"./").skip(1).chain(text.split("import\"./").skip(1));
    quoted.filter_map(|rest| rest.split('"').next())
}

#[test]
fn a_page_loads_little_of_it_and_what_few_need_later() {
    let out = std::env::temp_dir().join(format!("unstuck-client-{}", std::process::id()));
    node("packages/client/build.mjs", &["--out", &out.to_string_lossy()]);
    let read = |name: &str| std::fs::read_to_string(out.join(name)).expect("a built file");
    let (mut loaded, mut next) = (BTreeSet::new(), vec!["index.js".to_owned()]);
    while let Some(name) = next.pop() {
        next.extend(imports(&read(&name)).map(str::to_owned));
        assert!(loaded.insert(name) || loaded.len() < 20, "{loaded:?}");
        next.retain(|name| !loaded.contains(name));
    }
    let zipped = |name: &String| {
        let mut zip = GzEncoder::new(Vec::new(), Compression::best());
        zip.write_all(read(name).as_bytes()).expect("it fits into memory");
        zip.finish().expect("it fits into memory").len()
    };
    let bytes: usize = loaded.iter().map(zipped).sum();
    let all: Vec<String> = std::fs::read_dir(&out)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let _ = std::fs::remove_dir_all(&out);
    assert!(bytes <= BYTES_MAX, "{bytes} bytes: {loaded:?}");
    for later in ["tus-", "zip-", "order-", "shop-"] {
        assert!(all.iter().any(|name| name.starts_with(later)), "{later}: {all:?}");
        assert!(!loaded.iter().any(|name| name.starts_with(later)), "{later}: {loaded:?}");
    }
}

/// The codes that a file of the package lists: `| "code"`, each on its line.
fn codes(file: &str, types: &[&str]) -> BTreeSet<String> {
    let text = sources::read(file);
    let listed = types.iter().flat_map(|name| {
        let (_, list) = text.split_once(&format!("type {name} =")).expect("a type of that name");
        list.split(";\n").next().unwrap_or_default().lines()
    });
    let quoted = listed.filter_map(|line| line.trim().strip_prefix("| \"")?.split('"').next());
    quoted.map(str::to_owned).collect()
}

#[test]
fn every_code_of_an_error_is_explained() {
    let page = sources::read("docs/integrating.md");
    let explained: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(name, _)| name.chars().all(|letter| letter.is_alphabetic() || letter == '_'))
        .map(|(name, _)| name.to_owned())
        .collect();
    let folder = "packages/client/src";
    let mut codes_of_all = codes(&format!("{folder}/errors.ts"), &["ClientErrorCode"]);
    let contract = ["ErrorCode", "JobErrorCode"];
    codes_of_all.extend(codes(&format!("{folder}/contract.ts"), &contract));
    assert!(codes_of_all.len() > 35, "{codes_of_all:?}");
    let missing: Vec<_> = codes_of_all.difference(&explained).collect();
    assert!(missing.is_empty(), "docs/integrating.md does not explain {missing:?}");
}
