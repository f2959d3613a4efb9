//! The pages of a Worker. A session names the files that are missing, they are uploaded, and the
//! answer to the last one has a token that the upload of the Worker must contain.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use serde_json::{Value, json};

use super::account::CloudState;
use super::answer::{CloudAnswer, CloudRefusal, forbidden, refused};
use super::routes::CloudCall;

/// The largest file that the platform accepts.
const FILE_BYTES: u64 = 25 * 1024 * 1024;

pub(super) struct AssetSession {
    script: String,
    /// Path → hash.
    files: BTreeMap<String, String>,
    /// Hash → bytes.
    sizes: BTreeMap<String, u64>,
    missing: BTreeSet<String>,
}

/// A token of three parts. wrangler reads the middle one.
fn token(id: &str) -> String {
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", encode("{}"), encode("{\"exp\":4102444800}"), encode(id))
}

pub(super) fn begin(state: &mut CloudState, script: &str, body: &Value) -> CloudAnswer {
    let manifest = body["manifest"].as_object().cloned().unwrap_or_default();
    let (mut files, mut sizes) = (BTreeMap::new(), BTreeMap::new());
    for (path, file) in &manifest {
        let (hash, size) = (file["hash"].as_str().unwrap_or_default(), file["size"].as_u64());
        let Some(size) = size.filter(|size| *size <= FILE_BYTES) else {
            return Err(refused(100_125, format!("{path} has no size, or more than 25 MiB")));
        };
        if !path.starts_with('/') || hash.len() != 32 {
            return Err(refused(100_126, format!("{path} is no path with a hash of 32 digits")));
        }
        files.insert(path.clone(), hash.to_owned());
        sizes.insert(hash.to_owned(), size);
    }
    let missing: BTreeSet<String> =
        sizes.keys().filter(|hash| !state.assets.contains_key(*hash)).cloned().collect();
    let jwt = token(&state.new_id());
    let buckets: Vec<Vec<&String>> = match missing.is_empty() {
        true => Vec::new(),
        false => vec![missing.iter().collect()],
    };
    let answer = json!({ "jwt": jwt, "buckets": buckets });
    state.sessions.insert(jwt, AssetSession { script: script.to_owned(), files, sizes, missing });
    Ok(answer)
}

pub(super) fn upload(state: &mut CloudState, call: &CloudCall) -> CloudAnswer {
    let Some(session) = state.sessions.get_mut(&call.bearer) else {
        return Err(forbidden(10000, "Authentication error"));
    };
    for part in &call.parts {
        let bytes = base64::engine::general_purpose::STANDARD.decode(&part.bytes);
        let bytes = bytes.map_err(|_| refused(100_127, "a file is not base64"))?;
        let size = session.sizes.get(&part.name);
        if size.is_none_or(|size| *size != bytes.len() as u64) {
            return Err(refused(100_128, format!("{} is not of the manifest", part.name)));
        }
        session.missing.remove(&part.name);
        state.assets.insert(part.name.clone(), bytes.into());
    }
    match session.missing.is_empty() {
        true => Ok(json!({ "jwt": call.bearer })),
        false => Ok(json!({})),
    }
}

/// The pages (path → hash) of the session of this token, which must be complete and of this Worker.
pub(super) fn check(
    state: &CloudState,
    script: &str,
    jwt: &str,
) -> Result<BTreeMap<String, String>, CloudRefusal> {
    let session = state.sessions.get(jwt).filter(|session| session.script == script);
    match session {
        Some(session) if session.missing.is_empty() => Ok(session.files.clone()),
        Some(_) => Err(refused(100_129, "not all files of the manifest were sent")),
        None => Err(refused(100_130, "the token of the assets is of no session of this Worker")),
    }
}
