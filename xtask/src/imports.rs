//! Shortens the names of a function's wasm imports, in the wasm and in its JavaScript.
//!
//! wasm-bindgen gives each import a long name that ends in a hash. The names have nothing in
//! common, so gzip cannot compress them: they make up 3 % of an upload.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// The name of the module in the bindings, and the name that replaces it.
const MODULE: (&str, &str) = ("./index_bg.js", "a");
const IMPORT_SECTION: u8 = 2;
const HEADER_BYTES: usize = 8;

/// Rewrites `index_bg.wasm` and `index.js` of a built function.
pub(crate) fn shorten(build: &Path) -> Result<()> {
    let (wasm_file, js_file) = (build.join("index_bg.wasm"), build.join("index.js"));
    let wasm = std::fs::read(&wasm_file)?;
    let js = std::fs::read_to_string(&js_file)?;
    let (wasm, js) = shortened(&wasm, js).with_context(|| wasm_file.display().to_string())?;
    std::fs::write(&wasm_file, wasm)?;
    std::fs::write(&js_file, js).context("cannot write index.js")
}

fn shortened(wasm: &[u8], mut js: String) -> Result<(Vec<u8>, String)> {
    let (header, mut rest) = wasm.split_at_checked(HEADER_BYTES).context("not wasm")?;
    let mut out = header.to_vec();
    let mut renamed = 0;
    while let Some((id, after)) = rest.split_first() {
        rest = after;
        let bytes = number(&mut rest)?;
        let (section, after) = rest.split_at_checked(bytes).context("a section is cut")?;
        rest = after;
        let mut rename = |module: &str, name: &str| -> Result<Option<String>> {
            if module != MODULE.0 {
                return Ok(None);
            }
            let short = short(renamed);
            renamed += 1;
            js = replaced(&js, &format!("{name}:"), &format!("{short}:"))?;
            Ok(Some(short))
        };
        let section = match *id {
            IMPORT_SECTION => imports(section, &mut rename)?,
            _ => section.to_vec(),
        };
        out.push(*id);
        put_bytes(&mut out, &section);
    }
    let js = replaced(&js, &format!("\"{}\":", MODULE.0), &format!("\"{}\":", MODULE.1))?;
    Ok((out, js))
}

/// The import section with the new names.
fn imports(
    mut section: &[u8],
    rename: &mut impl FnMut(&str, &str) -> Result<Option<String>>,
) -> Result<Vec<u8>> {
    let count = number(&mut section)?;
    let mut out = Vec::new();
    put_number(&mut out, count);
    for _ in 0..count {
        let (module, name) = (text(&mut section)?, text(&mut section)?);
        match rename(module, name)? {
            Some(short) => {
                put_bytes(&mut out, MODULE.1.as_bytes());
                put_bytes(&mut out, short.as_bytes());
            }
            None => {
                put_bytes(&mut out, module.as_bytes());
                put_bytes(&mut out, name.as_bytes());
            }
        }
        let before = section;
        skip_kind(&mut section)?;
        out.extend(before.get(..before.len() - section.len()).unwrap_or_default());
    }
    Ok(out)
}

/// Skips the description of an import: a function, a table, a memory, a global or a tag.
fn skip_kind(section: &mut &[u8]) -> Result<()> {
    match number(section)? {
        0 => number(section).map(drop),
        1 => {
            number(section)?;
            skip_limits(section)
        }
        2 => skip_limits(section),
        3 | 4 => {
            number(section)?;
            number(section).map(drop)
        }
        kind => bail!("an import of the unknown kind {kind}"),
    }
}

fn skip_limits(section: &mut &[u8]) -> Result<()> {
    let has_maximum = number(section)? & 1 == 1;
    number(section)?;
    if has_maximum {
        number(section)?;
    }
    Ok(())
}

/// Replaces a key, which must stand once after a brace or a comma.
fn replaced(js: &str, old: &str, new: &str) -> Result<String> {
    let is_key = |at: &usize| js[..*at].ends_with(['{', ',']);
    let mut found = js.match_indices(old).map(|(at, _)| at).filter(is_key);
    let (Some(at), None) = (found.next(), found.next()) else {
        bail!("index.js does not name {old} once");
    };
    Ok(format!("{}{new}{}", &js[..at], &js[at + old.len()..]))
}

/// A short name that JavaScript accepts as a key: `a` to `z`, then `a1` and so on.
fn short(index: usize) -> String {
    let letter = char::from(b'a' + u8::try_from(index % 26).unwrap_or_default());
    match index / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

/// Reads a number of the binary format (LEB128).
fn number(bytes: &mut &[u8]) -> Result<usize> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().context("a number is cut")?;
        *bytes = rest;
        ensure!(shift < 35, "a number is too long");
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
}

fn text<'b>(bytes: &mut &'b [u8]) -> Result<&'b str> {
    let length = number(bytes)?;
    let (text, rest) = bytes.split_at_checked(length).context("a name is cut")?;
    *bytes = rest;
    std::str::from_utf8(text).context("a name is not UTF-8")
}

fn put_number(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::{number, put_number, short, shortened};

    fn module(module: &str, names: &[&str]) -> Vec<u8> {
        let mut section = vec![u8::try_from(names.len()).unwrap()];
        for name in names {
            for text in [module, name] {
                section.push(u8::try_from(text.len()).unwrap());
                section.extend(text.as_bytes());
            }
            section.extend([0, 7]);
        }
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        wasm.extend([1, 1, 0, 2, u8::try_from(section.len()).unwrap()]);
        wasm.extend(section);
        wasm
    }

    #[test]
    fn both_sides_know_an_import_by_its_short_name() {
        let names = ["__wbg_now_1", "__wbg_now_12"];
        let js = r#"i({"./index_bg.js":{__proto__:null,__wbg_now_12:function(){},__wbg_now_1:f}})"#;
        let (wasm, js) = shortened(&module("./index_bg.js", &names), js.to_owned()).unwrap();
        assert_eq!(wasm, module("a", &["a", "b"]));
        assert_eq!(js, r#"i({"a":{__proto__:null,b:function(){},a:f}})"#);
    }

    #[test]
    fn an_import_that_the_script_lacks_is_an_error() {
        let js = r#"i({"./index_bg.js":{x__wbg_now_1:f}})"#;
        assert!(shortened(&module("./index_bg.js", &["__wbg_now_1"]), js.to_owned()).is_err());
    }

    #[test]
    fn numbers_and_names_are_distinct() {
        for value in [0, 127, 128, 300, 1 << 20] {
            let mut bytes = Vec::new();
            put_number(&mut bytes, value);
            assert_eq!(number(&mut bytes.as_slice()).unwrap(), value);
        }
        let names: std::collections::BTreeSet<String> = (0..500).map(short).collect();
        assert_eq!(names.len(), 500);
    }
}
