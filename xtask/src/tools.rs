//! `cargo xtask setup` installs what builds and the local stack need in addition to Cargo's
//! dependencies.
//!
//! A second run changes nothing. Everything except `node_modules` is installed into the user's
//! cache, by version, so that a fresh clone finds it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::command::{cargo, run, run_quiet, say};
use crate::paths;

const WASM_TARGET: &str = "wasm32-unknown-unknown";
const WORKER_BUILD: &str = "0.8.7";
const POSTRUST: &str = "3.1.0";

/// The packages of Debian's wasm tool chain. The second name is that under which rustup knows it.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-19"];
const DEBIAN_TOOLCHAIN: &str = "debian-web";

/// The browser, and a typeface, because the pages use that of the system.
const BROWSER_PACKAGES: [&str; 2] = ["chromium", "fonts-inter"];
pub const BROWSER_ADVICE: &str =
    "install Chromium (Debian: `apt-get install chromium`), or set CHROMIUM to its path";

pub fn setup() -> Result<()> {
    let cache = paths::cache();
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("cannot create {}", cache.display()))?;
    let _one_at_a_time = lock("setup")?;
    npm_packages()?;
    wasm_target()?;
    cargo_tool("worker-build", WORKER_BUILD, "worker-build", 0)?;
    cargo_tool("wasm-bindgen-cli", &wasm_bindgen_version()?, "wasm-bindgen", 0)?;
    // This program answers every call of the local database, so it is built with some optimisation.
    cargo_tool("postrust-server", POSTRUST, "postrust", 1)?;
    match std::fs::remove_dir_all(tools_target()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// The target folder of all tools, so that none compiles what another has compiled already.
fn tools_target() -> PathBuf {
    paths::cache().join("target-tools")
}

/// A lock that is held until it is dropped. Another process that wants it waits.
pub fn lock(name: &str) -> Result<std::fs::File> {
    let path = paths::cache().join(format!("{name}.lock"));
    std::fs::create_dir_all(paths::cache())?;
    let file = std::fs::File::create(&path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    if file.try_lock().is_err() {
        say(format_args!("waiting for another xtask ({name})"));
        file.lock()?;
    }
    Ok(file)
}

/// Installs the browser in which the pages are tested. Only those tests need it, so a failure is
/// printed and is no error.
pub fn browser() -> Result<()> {
    let _one_at_a_time = lock("setup")?;
    if let Some(found) = chromium() {
        say(format_args!("browser: {}", found.display()));
        return Ok(());
    }
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        run(&format!("browser: apt-get {}", args.join(" ")), &mut command, BROWSER_ADVICE)
    };
    let install: Vec<&str> = ["install", "--yes", "--no-install-recommends"]
        .into_iter()
        .chain(BROWSER_PACKAGES)
        .collect();
    // A new machine has no package lists yet.
    if let Err(error) = apt(&install).or_else(|_| apt(&["update"]).and_then(|()| apt(&install))) {
        say(format_args!("no browser, so the tests of the pages will fail: {error}"));
    }
    Ok(())
}

/// `CHROMIUM`, or the first installed browser of that family.
pub fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| {
        let path = std::env::var_os("PATH")?;
        let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
        std::env::split_paths(&path)
            .flat_map(|dir| names.map(|name| dir.join(name)))
            .find(|program| program.exists())
    })
}

pub fn worker_build() -> PathBuf {
    tool("worker-build", WORKER_BUILD).join("bin/worker-build")
}

pub fn wasm_bindgen() -> Result<PathBuf> {
    Ok(tool("wasm-bindgen-cli", &wasm_bindgen_version()?).join("bin/wasm-bindgen"))
}

pub fn postrust() -> PathBuf {
    tool("postrust-server", POSTRUST).join("bin/postrust")
}

/// A `cargo` command in the checkout that builds wasm.
pub fn wasm_cargo(args: &[&str]) -> Command {
    let mut command = if debian_marker().exists() { Command::new("cargo") } else { cargo(&[]) };
    command.args(args).current_dir(paths::root());
    wasm_env(&mut command);
    command
}

/// Sets the environment for `command` and its children to build wasm.
pub fn wasm_env(command: &mut Command) {
    command.env("CARGO_TARGET_DIR", paths::target_wasm());
    if debian_marker().exists() {
        use_debian(command);
    }
}

fn use_debian(command: &mut Command) {
    command
        .env("RUSTUP_TOOLCHAIN", DEBIAN_TOOLCHAIN)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld-19")
        // Our own cargo has set these variables; Debian's tool chain must find its own programs.
        .env_remove("CARGO")
        .env_remove("RUSTC");
}

fn tool(name: &str, version: &str) -> PathBuf {
    paths::cache().join("cargo").join(format!("{name}-{version}"))
}

/// The version of wasm-bindgen in Cargo.lock, which the bindings generator must have too.
fn wasm_bindgen_version() -> Result<String> {
    let text = std::fs::read_to_string(paths::root().join("Cargo.lock"))
        .context("cannot read Cargo.lock")?;
    let lock: toml::Table = toml::from_str(&text).context("Cargo.lock")?;
    let packages = lock
        .get("package")
        .and_then(|packages| packages.as_array())
        .context("Cargo.lock has no packages")?;
    let found = packages
        .iter()
        .find(|package| package.get("name").and_then(|name| name.as_str()) == Some("wasm-bindgen"));
    let version =
        found.and_then(|package| package.get("version")).and_then(|version| version.as_str());
    version.map(str::to_owned).context("Cargo.lock has no wasm-bindgen")
}

fn npm_packages() -> Result<()> {
    if !npm_ci(&paths::root())? {
        say("npm packages: up to date");
        return Ok(());
    }
    let node = run_quiet(
        "node",
        Command::new(paths::node_bin("node")).arg("--version"),
        "delete node_modules and rerun `cargo xtask setup`",
    )?;
    say(format_args!("npm packages: installed, Node {}", node.trim()));
    Ok(())
}

/// Installs the packages of a folder's lock file. Returns false if they are already installed.
pub(crate) fn npm_ci(dir: &Path) -> Result<bool> {
    let stamp = dir.join("node_modules/.installed-lock");
    let mut hash = Sha256::new();
    for file in ["package.json", "package-lock.json"] {
        hash.update(std::fs::read(dir.join(file)).with_context(|| format!("cannot read {file}"))?);
    }
    let wanted = format!("{:x}", hash.finalize());
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(false);
    }
    let mut command = Command::new("npm");
    command.args(["ci", "--no-fund", "--no-audit", "--loglevel=error"]).current_dir(dir);
    run("npm packages: npm ci", &mut command, "install npm and let it reach its registry")?;
    std::fs::write(stamp, wanted)?;
    Ok(true)
}

/// Installs a program. It is built with little optimisation: a slower program costs less in a month
/// of builds than its optimisation costs once.
fn cargo_tool(name: &str, version: &str, program: &str, opt_level: u8) -> Result<()> {
    let dir = tool(name, version);
    if dir.join("bin").join(program).exists() {
        say(format_args!("{name} {version}: in the cache"));
        return Ok(());
    }
    let install = |locked: &[&str]| {
        let mut command = Command::new("cargo");
        command
            .args(["install", name, "--debug", "--version", &format!("={version}"), "--root"])
            .arg(&dir)
            .args(locked)
            .current_dir(paths::cache())
            // The program must not be built in our target folder.
            .env("CARGO_TARGET_DIR", tools_target())
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            // Another project's program gets the same checks as in its published builds.
            .env("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false")
            .env("CARGO_PROFILE_DEV_OVERFLOW_CHECKS", "false")
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", opt_level.to_string());
        command
    };
    let step = format!("{name} {version}: cargo install, a few minutes, once");
    let advice = "let cargo reach crates.io, or the registry in its place";
    let Err(error) = run(&step, &mut install(&["--locked"]), advice) else {
        return Ok(());
    };
    say(format_args!("{error}"));
    let step = format!(
        "{name} {version}: retry with the newest compatible dependencies, \
         as its own lock file did not install"
    );
    run(&step, &mut install(&[]), advice)
}

fn wasm_target() -> Result<()> {
    if debian_marker().exists() {
        say(format_args!("{WASM_TARGET}: Debian's tool chain"));
        return Ok(());
    }
    if has_target(None)? {
        say(format_args!("{WASM_TARGET}: installed"));
        return Ok(());
    }
    let step = format!("{WASM_TARGET}: rustup target add");
    let Err(error) = run(
        &step,
        Command::new("rustup").args(["target", "add", WASM_TARGET]),
        "Debian's packages are tried next",
    ) else {
        return Ok(());
    };
    say(format_args!("{error}"));
    debian_toolchain().with_context(|| {
        format!(
            "no {WASM_TARGET}: neither rustup nor Debian could provide it; \
             install it and rerun `cargo xtask setup`"
        )
    })
}

fn has_target(toolchain: Option<&str>) -> Result<bool> {
    Ok(std_library(toolchain)?.read_dir().is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
        })
    }))
}

fn std_library(toolchain: Option<&str>) -> Result<PathBuf> {
    let mut command = Command::new("rustc");
    command.args(["--print", "target-libdir", "--target", WASM_TARGET]).current_dir(paths::root());
    if let Some(toolchain) = toolchain {
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    Ok(run_quiet("rustc's library folder", &mut command, "install Rust")?.trim().into())
}

/// While this file exists, wasm is built with Debian's tool chain.
fn debian_marker() -> PathBuf {
    paths::cache().join(DEBIAN_TOOLCHAIN)
}

/// Installs Debian's compiler, and builds the standard library for wasm once, because Debian ships
/// only its source.
fn debian_toolchain() -> Result<()> {
    if !Path::new("/etc/debian_version").exists() {
        bail!("this is not Debian");
    }
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--no-install-recommends"]).args(DEBIAN_PACKAGES);
    run(
        "Debian's wasm tool chain: apt-get install",
        apt.env("DEBIAN_FRONTEND", "noninteractive"),
        "run it as root",
    )?;
    let mut link = Command::new("rustup");
    run(
        "Debian's wasm tool chain: rustup toolchain link",
        link.args(["toolchain", "link", DEBIAN_TOOLCHAIN, "/usr"]),
        "install rustup",
    )?;
    if !has_target(Some(DEBIAN_TOOLCHAIN))? {
        build_std()?;
    }
    std::fs::write(debian_marker(), "")?;
    Ok(())
}

fn build_std() -> Result<()> {
    let dir = paths::cache().join("std-wasm");
    std::fs::create_dir_all(dir.join("src"))?;
    std::fs::write(
        dir.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nedition = \"2021\"\n[workspace]\n",
    )?;
    std::fs::write(dir.join("src/lib.rs"), "")?;
    let mut build = Command::new("cargo");
    build
        .args([
            "build",
            "--release",
            "--target",
            WASM_TARGET,
            "-Zbuild-std=std,panic_abort,proc_macro",
        ])
        .current_dir(&dir)
        .env("RUSTC_BOOTSTRAP", "1")
        // Link-time optimisation needs the bitcode.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env("CARGO_TARGET_DIR", dir.join("target"));
    use_debian(&mut build);
    run(
        "Debian's wasm tool chain: build std, about a minute",
        &mut build,
        "check that the package rust-web-src is installed",
    )?;
    let library = std_library(Some(DEBIAN_TOOLCHAIN))?;
    std::fs::create_dir_all(&library)?;
    for entry in std::fs::read_dir(dir.join("target").join(WASM_TARGET).join("release/deps"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libempty-") {
            std::fs::copy(&path, library.join(&name))
                .with_context(|| format!("cannot write {}", library.display()))?;
        }
    }
    Ok(())
}
