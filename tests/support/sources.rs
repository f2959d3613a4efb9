//! The checkout's own files, for the tests of the repository's rules.

use std::path::{Path, PathBuf};
use std::process::Command;

pub use xtask::paths::root;

/// Every file that Git tracks or would track, relative to the checkout.
pub fn committed() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("file names are UTF-8");
    names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .filter(|file| root().join(file).is_file())
        .collect()
}

/// The text of a file in the checkout.
pub fn read(file: impl AsRef<Path>) -> String {
    let path = root().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Rust files below a folder, relative to the checkout.
pub fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = committed()
        .into_iter()
        .filter(|file| {
            file.starts_with(folder) && file.extension().is_some_and(|extension| extension == "rs")
        })
        .collect();
    files.sort();
    files
}

/// The contract, openapi.yaml.
pub fn contract() -> serde_json::Value {
    let script = "import('yaml').then(({ parse }) => \
                  console.log(JSON.stringify(parse(process.argv[1]))))";
    let mut node = Command::new(xtask::paths::node_bin("node"));
    node.args(["-e", script]).arg(read("openapi.yaml")).current_dir(root());
    let output = node.output().expect("Node runs");
    serde_json::from_slice(&output.stdout).expect("openapi.yaml is YAML")
}
