//! What a registry, a bundler and a compiler make of the packed packages.

use unstuck_tests::packages::{PACKED, npm_program};

/// Fails where `publint` has anything to say, even a suggestion.
#[test]
fn publint_finds_nothing_in_the_packed_packages() {
    for tarball in PACKED.tarballs() {
        let mut publint = npm_program("publint", PACKED.folder());
        let output = publint.arg("run").arg(&tarball).arg("--strict").output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("All good"), "{said}");
    }
}

/// The packages are ES modules alone, as every bundler and every Node since 22 takes them.
#[test]
fn every_way_to_import_the_packed_packages_finds_their_types() {
    for tarball in PACKED.tarballs() {
        let mut attw = npm_program("attw", PACKED.folder());
        attw.arg(&tarball).args(["--profile", "esm-only", "--format", "ascii", "--no-color"]);
        let output = attw.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn the_example_is_built_from_the_packed_packages() {
    let pages = PACKED.build("http://127.0.0.1:54321", "sb_publishable_example");
    assert!(pages.join("index.html").is_file());
}

/// A server renders what is known without a browser: nothing, and never an error.
#[test]
fn a_server_renders_the_hooks() {
    let script = PACKED.folder().join("on_server.mjs");
    std::fs::copy(unstuck_tests::sources::root().join("tests/packages/on_server.mjs"), &script)
        .expect("a copy");
    let mut node = npm_program("node", PACKED.folder());
    let output = node.arg(&script).output().expect("Node runs");
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{complaint}");
    assert_eq!(said.trim(), r#"{"html":"<p>0 null null null</p>","asked":0}"#, "{complaint}");
}
