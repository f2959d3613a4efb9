//! Compares each function's gzipped upload with the budget.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::build;

/// The limit for every function, somewhat above the largest one.
const BUDGET_BYTES: u64 = 248 * 1024;

/// The sizes of a built function's upload, in bytes.
struct UploadSize {
    name: String,
    wasm: u64,
    js: u64,
    /// The size of wasm and JavaScript, gzipped.
    gzip: u64,
}

pub fn report() -> Result<()> {
    build::functions(&build::all()?)?;
    println!("{:<34} {:>10} {:>10} {:>10}", "function", "wasm KB", "js KB", "gzip KB");
    let sizes = measured()?;
    for UploadSize { name, wasm, js, gzip } in &sizes {
        println!("{name:<34} {:>10.1} {:>10.1} {:>10.1}", kb(*wasm), kb(*js), kb(*gzip));
    }
    let sum = sizes.iter().map(|size| size.gzip).sum();
    println!("{:<34} {:>32.1}", format!("all {}", sizes.len()), kb(sum));
    check()
}

/// Fails if a built function exceeds the budget.
pub fn check() -> Result<()> {
    let over = measured()?.into_iter().filter(|size| size.gzip > BUDGET_BYTES);
    let over: Vec<String> =
        over.map(|size| format!("{} ({:.1} KB)", size.name, kb(size.gzip))).collect();
    if !over.is_empty() {
        bail!("over the budget of {:.0} KB: {}", kb(BUDGET_BYTES), over.join(", "));
    }
    Ok(())
}

fn measured() -> Result<Vec<UploadSize>> {
    let size = |dir: PathBuf| {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (wasm, wasm_gzip) = measure(&dir.join("build/index_bg.wasm"))?;
        let (js, js_gzip) = measure(&dir.join("build/index.js"))?;
        Ok(UploadSize { name, wasm, js, gzip: wasm_gzip + js_gzip })
    };
    build::all()?.into_iter().map(size).collect()
}

fn measure(path: &Path) -> Result<(u64, u64)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&bytes)?;
    Ok((bytes.len() as u64, gzip.finish()?.len() as u64))
}

fn kb(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}
