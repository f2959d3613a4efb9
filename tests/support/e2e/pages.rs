//! Runs the files of a website with the programs of its users: a browser, a compiler.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use xtask::paths;

/// Opens `index.html` in a headless browser. Returns its heading, what its script wrote, and every
/// error that occurred.
pub fn page(files: &Value) -> Value {
    node("page.mjs", files)
}

/// Parses every script of a project and returns their number.
pub fn parse(files: &Value) -> u64 {
    node("parse.mjs", files)["parsed"].as_u64().expect("a number")
}

fn node(script: &str, input: &Value) -> Value {
    let mut node = Command::new(paths::node_bin("node"));
    node.arg(paths::root().join("tests/client").join(script));
    let mut running = node
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node runs");
    running
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.to_string().as_bytes())
        .expect("node reads");
    let output = running.wait_with_output().expect("node ends");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}:\n{stdout}\n{stderr}");
    serde_json::from_str(stdout.trim())
        .unwrap_or_else(|error| panic!("{script}: {error}\n{stdout}"))
}
