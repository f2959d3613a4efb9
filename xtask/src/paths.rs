//! The paths of the checkout, the user's cache and Cargo's target folders. Nothing is created here.

use std::path::PathBuf;

/// The checkout in which Cargo runs this program; without Cargo, the one from which it was built.
/// Two checkouts with one target folder share the program.
pub fn root() -> PathBuf {
    let built_from = || PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut path = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(built_from, PathBuf::from);
    path.pop();
    path
}

/// The user's cache. It lies outside of the checkout, so that a fresh clone finds what an earlier
/// one installed.
pub fn cache() -> PathBuf {
    let base =
        std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    base.unwrap_or_else(home).join("unstuck")
}

/// Cargo's target folder for builds for the host.
pub fn target_host() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The target folder for wasm builds. It is separate, so that neither build locks or evicts the
/// other.
pub fn target_wasm() -> PathBuf {
    cache().join("target-wasm")
}

/// The path of a program that npm installed.
pub fn node_bin(name: &str) -> PathBuf {
    root().join("node_modules/.bin").join(name)
}

/// The folder with the state of the stack of `cargo xtask dev`.
pub fn local() -> PathBuf {
    root().join(".local")
}
