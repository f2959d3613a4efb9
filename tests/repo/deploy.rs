//! The deployment file as `wrangler` reads it: every function's environment passes a dry run, a
//! bare deploy fails.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use shared::flow::compare::OF_ITS_OWN;
use unstuck_tests::sources;

fn wrangler(args: &[&str]) -> Output {
    let root = sources::root();
    // Its caches and logs stay out of the home folder.
    let scratch = root.join(".wrangler/tests");
    Command::new(root.join("node_modules/.bin/node"))
        .arg(root.join("node_modules/wrangler/bin/wrangler.js"))
        .args(args)
        .current_dir(&root)
        .env("WRANGLER_SEND_METRICS", "false")
        .env("CI", "1")
        .env("XDG_CONFIG_HOME", &scratch)
        .env("WRANGLER_LOG_PATH", &scratch)
        .output()
        .expect("wrangler is installed by `cargo xtask setup`")
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn every_function_passes_a_dry_run() {
    let folders = xtask::build::all().expect("wrangler.toml is readable");
    let names = folders.iter().map(|folder| folder.file_name().expect("a folder"));
    let functions: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let cores = std::thread::available_parallelism().expect("a number of cores").get();
    // One command takes seconds and one core.
    std::thread::scope(|scope| {
        for part in functions.chunks(functions.len().div_ceil(cores)) {
            scope.spawn(|| part.iter().for_each(|function| passes_a_dry_run(function)));
        }
    });
}

fn passes_a_dry_run(function: &str) {
    let out = std::env::temp_dir().join(format!("unstuck-dry-run-{function}"));
    let folder = out.display().to_string();
    let output = wrangler(&["deploy", "--dry-run", "-e", function, "--outdir", &folder]);
    let bundled = std::fs::read_dir(&out).map(|files| {
        files.flatten().any(|file| file.path().extension().is_some_and(|end| end == "wasm"))
    });
    let _ = std::fs::remove_dir_all(&out);
    assert!(output.status.success(), "{function}: {}", said(&output));
    assert!(bundled.unwrap_or(false), "{function}: no wasm in the bundle: {}", said(&output));
}

/// Otherwise every deployment that leaves such a setting alone would be called degraded.
#[test]
fn a_setting_that_differs_by_default_is_not_compared() {
    let wrangler: toml::Table = sources::read("wrangler.toml").parse().expect("TOML");
    let mut values = BTreeMap::<&str, BTreeSet<&str>>::new();
    for function in wrangler["env"].as_table().expect("a table").values() {
        for (name, value) in function["vars"].as_table().expect("a table") {
            values.entry(name).or_default().insert(value.as_str().expect("a text"));
        }
    }
    let differing = values.iter().filter(|(_, values)| values.len() > 1).map(|(name, _)| *name);
    assert_eq!(differing.collect::<Vec<_>>(), OF_ITS_OWN);
}

#[test]
fn a_bare_deploy_fails() {
    let output = wrangler(&["deploy", "--dry-run"]);
    assert!(!output.status.success(), "{}", said(&output));
}
