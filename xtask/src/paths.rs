//! Where things lie: the checkout, the user's cache, Cargo's target folders. Never creates
//! anything.

use std::path::PathBuf;

/// The checkout that Cargo runs this for, else the one it was built from: two checkouts that share
/// a target folder share this program too.
pub fn root() -> PathBuf {
    let built_from = || PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut path = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(built_from, PathBuf::from);
    path.pop();
    path
}

/// Outside the checkout, so that a fresh clone finds what an earlier one installed.
pub fn cache() -> PathBuf {
    let base =
        std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    base.unwrap_or_else(home).join("unstuck")
}

/// Host builds: Cargo's own choice.
pub fn target_host() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Wasm builds: apart from the host's, so that neither evicts or locks the other.
pub fn target_wasm() -> PathBuf {
    cache().join("target-wasm")
}

/// A program that npm installed.
pub fn node_bin(name: &str) -> PathBuf {
    root().join("node_modules/.bin").join(name)
}

/// State of the stack that `cargo xtask dev` runs.
pub fn local() -> PathBuf {
    root().join(".local")
}
