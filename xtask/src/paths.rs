//! The paths of the checkout, the user's cache and Cargo's target folders. Nothing is created.

use std::path::PathBuf;

/// The checkout that Cargo runs this program for, else the one it was built from: two checkouts
/// with one target folder share the program.
pub fn root() -> PathBuf {
    let built_from = || PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut path = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(built_from, PathBuf::from);
    path.pop();
    path
}

/// Lies outside the checkout, so that a fresh clone finds what an earlier one installed.
pub fn cache() -> PathBuf {
    let base =
        std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    base.unwrap_or_else(home).join("unstuck")
}

/// Cargo's own target folder, for builds of the host.
pub fn target_host() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The target folder of wasm builds, apart so that neither build locks or evicts the other.
pub fn target_wasm() -> PathBuf {
    cache().join("target-wasm")
}

/// A program that npm installed.
pub fn node_bin(name: &str) -> PathBuf {
    root().join("node_modules/.bin").join(name)
}

/// The state of the stack that `cargo xtask dev` runs.
pub fn local() -> PathBuf {
    root().join(".local")
}
