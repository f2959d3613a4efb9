//! Compares each function's upload, gzipped, with its budget.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::build;

const BUDGET_BYTES: u64 = 300 * 1024;

pub fn report() -> Result<()> {
    let dirs = build::all()?;
    build::functions(&dirs)?;
    println!("{:<28} {:>10} {:>10} {:>10}", "function", "wasm KB", "js KB", "gzip KB");
    let mut over = Vec::new();
    for dir in &dirs {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let (wasm, wasm_gzip) = measure(&dir.join("build/index_bg.wasm"))?;
        let (js, js_gzip) = measure(&dir.join("build/index.js"))?;
        let total = wasm_gzip + js_gzip;
        println!("{name:<28} {:>10.1} {:>10.1} {:>10.1}", kb(wasm), kb(js), kb(total));
        if total > BUDGET_BYTES {
            over.push(format!("{name} ({:.1} KB)", kb(total)));
        }
    }
    if !over.is_empty() {
        bail!("over the budget of {:.0} KB: {}", kb(BUDGET_BYTES), over.join(", "));
    }
    Ok(())
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
