//! Builds the functions to wasm: one `cargo build` for all, then bindings, JavaScript shim and
//! optimiser for each changed function.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use crate::command::{cargo, run, run_quiet, say};
use crate::{function, imports, paths, tools};

/// The number of functions whose shim is built at the same time.
const PARALLEL: usize = 2;
const PROFILE: &str = "release";

/// The options of worker-build (with `-Oz` the gzipped size is no smaller), without the names of
/// functions: they make up a tenth of the upload, and a panic gives file and line without them. The
/// features are those that the compiler uses; workerd supports all of them.
const WASM_OPT: [&str; 11] = [
    "-Os",
    "--strip-debug",
    "--strip-producers",
    "--strip-target-features",
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-reference-types",
    "--enable-exception-handling",
];

/// The folders of all functions.
pub fn all() -> Result<Vec<PathBuf>> {
    Ok(function::all()?.into_iter().map(|function| function.dir).collect())
}

/// The folders of all functions, and those of `extra` functions, which only tests run.
pub fn all_with(extra: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut dirs = all()?;
    dirs.extend(extra.iter().map(|dir| paths::root().join(dir)));
    Ok(dirs)
}

/// The folder of a function, by its name. A function that only tests run is found by its folder.
pub fn find(name: &str) -> Result<PathBuf> {
    let candidates = [paths::root().join("functions").join(name), paths::root().join(name)];
    let found = candidates.into_iter().find(|dir| dir.join("Cargo.toml").exists());
    found.with_context(|| format!("there is no function {name}: no functions/{name}/Cargo.toml"))
}

/// Builds those of `dirs` whose code has changed.
pub fn functions(dirs: &[PathBuf]) -> Result<()> {
    with_profile(dirs, PROFILE)
}

pub fn with_profile(dirs: &[PathBuf], profile: &str) -> Result<()> {
    if dirs.iter().any(|dir| dir.ends_with("gateway")) {
        pages()?;
    }
    // Two checkouts build into files of the same names, so only one may build at a time.
    let _one_checkout = tools::lock("target-wasm")?;
    forget_another_checkout(profile)?;
    let args =
        ["build", "--quiet", "--lib", "--target", "wasm32-unknown-unknown", "--profile", profile];
    let mut build = tools::wasm_cargo(&args);
    for dir in dirs {
        build.args(["--package", &name(dir)?]);
    }
    run(
        &format!("compile {} functions to wasm", dirs.len()),
        &mut build,
        "fix the error above; if the target is missing, run `cargo xtask setup`",
    )?;
    let mut changed = Vec::new();
    for dir in dirs {
        let hash = wasm_hash(dir, profile)?;
        if std::fs::read_to_string(stamp(dir)).ok().as_ref() != Some(&hash)
            || !dir.join("build/index.js").exists()
        {
            changed.push((dir, hash));
        }
    }
    let queue = Mutex::new(changed.iter());
    let next = || queue.lock().ok()?.next();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..PARALLEL)
            .map(|_| {
                scope.spawn(|| {
                    while let Some((dir, hash)) = next() {
                        shim(dir, profile)?;
                        std::fs::write(stamp(dir), hash)?;
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(anyhow!("a build thread panicked")))
        })
    })
}

/// Removes the shared crate that another checkout compiled, and so everything that depends on it.
/// Cargo compares only the times of the files, so it could take the other checkout's build for
/// ours.
fn forget_another_checkout(profile: &str) -> Result<()> {
    let owner = paths::target_wasm().join("checkout");
    let root = paths::root().to_string_lossy().into_owned();
    if std::fs::read_to_string(&owner).is_ok_and(|built_for| built_for == root) {
        return Ok(());
    }
    let args = [
        "clean",
        "--quiet",
        "--target",
        "wasm32-unknown-unknown",
        "--profile",
        profile,
        "--package",
        "unstuck-shared",
    ];
    let advice = "delete the folder target-wasm in the cache";
    run_quiet("forget what another checkout compiled", &mut tools::wasm_cargo(&args), advice)?;
    std::fs::create_dir_all(paths::target_wasm())?;
    std::fs::write(&owner, root).context("cannot write which checkout was compiled")
}

fn shim(dir: &Path, profile: &str) -> Result<()> {
    let name = name(dir)?;
    say(format_args!("{name}: bindings, shim, wasm-opt"));
    let mut path = std::ffi::OsString::from(paths::root().join("node_modules/.bin"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new(tools::worker_build());
    match profile {
        PROFILE => command.arg("--release"),
        other => command.args(["--profile", other]),
    };
    command
        .arg("--no-opt")
        .arg(dir)
        .current_dir(paths::root())
        .env("PATH", &path)
        .env("WASM_BINDGEN_BIN", tools::wasm_bindgen()?)
        .env("ESBUILD_BIN", paths::node_bin("esbuild"));
    tools::wasm_env(&mut command);
    let advice = "run `cargo xtask setup` if a tool is missing";
    run_quiet(&format!("{name}: worker-build"), &mut command, advice)?;
    let wasm = dir.join("build/index_bg.wasm");
    let mut optimise = Command::new(paths::node_bin("wasm-opt"));
    optimise.args(WASM_OPT).arg(&wasm).arg("-o").arg(&wasm).env("PATH", path);
    run_quiet(&format!("{name}: wasm-opt"), &mut optimise, advice)?;
    imports::shorten(&dir.join("build"))
}

/// The package of a function, which has the name of its folder.
fn name(dir: &Path) -> Result<String> {
    let name =
        dir.file_name().with_context(|| format!("not a function's folder: {}", dir.display()))?;
    Ok(name.to_string_lossy().into_owned())
}

fn stamp(dir: &Path) -> PathBuf {
    dir.join("build/.built-from")
}

fn wasm_hash(dir: &Path, profile: &str) -> Result<String> {
    let folder = if profile == "dev" { "debug" } else { profile };
    let file = format!("wasm32-unknown-unknown/{folder}/{}.wasm", name(dir)?.replace('-', "_"));
    let path = paths::target_wasm().join(file);
    let wasm = std::fs::read(&path)
        .with_context(|| format!("cargo has not made {}: is it a cdylib?", path.display()))?;
    Ok(format!("{:x} {profile}", Sha256::digest(wasm)))
}

/// Bundles what the pages load: the client library, the contract as JSON, the tools' forms.
fn pages() -> Result<()> {
    let mut node = Command::new(paths::node_bin("node"));
    node.arg(paths::root().join("xtask/pages.mjs")).current_dir(paths::root());
    run_quiet("pages: bundle", &mut node, "run `cargo xtask setup` if a package is missing")
        .map(drop)
}

/// Builds the program that stands in for Supabase and the providers.
pub fn stand_ins() -> Result<()> {
    let mut build = cargo(&["build", "--quiet", "--package", "stand-ins"]);
    run_quiet("compile the stand-ins", &mut build, "fix the error below")?;
    if !stand_ins_binary().exists() {
        bail!("{} is missing after its build", stand_ins_binary().display());
    }
    Ok(())
}

pub fn stand_ins_binary() -> PathBuf {
    paths::target_host().join("debug/stand-ins")
}
