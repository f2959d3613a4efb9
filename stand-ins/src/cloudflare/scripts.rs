//! Workers: uploads, versions, releases, and the triggers that start them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::account::{CloudScript, CloudState, StoredRelease, StoredVersion};
use super::answer::{CloudAnswer, CloudRefusal, missing, no_worker, refused};
use super::routes::CloudCall;
use super::{assets, bindings};

/// How many of the newest releases a list names; of versions `VERSIONS`.
const RELEASES: usize = 10;
const VERSIONS: usize = 100;
const NAME_LENGTH: usize = 63;
const TAG_BYTES: usize = 100;
const MESSAGE_BYTES: usize = 1000;
/// The most crons of a free account's Worker are 5, of a paid account 250.
const CRONS: usize = 250;
const WASM: &[u8] = b"\0asm";

fn script<'a>(state: &'a CloudState, name: &str) -> Result<&'a CloudScript, CloudRefusal> {
    state.scripts.get(name).ok_or_else(no_worker)
}

fn script_mut<'a>(
    state: &'a mut CloudState,
    name: &str,
) -> Result<&'a mut CloudScript, CloudRefusal> {
    state.scripts.get_mut(name).ok_or_else(no_worker)
}

pub(super) fn list(state: &CloudState) -> Value {
    let named = state.scripts.iter();
    named.map(|(name, script)| json!({ "id": name, "tag": script.tag })).collect()
}

pub(super) fn service(state: &CloudState, name: &str) -> CloudAnswer {
    let known = state.scripts.get(name);
    let known = known.ok_or_else(|| missing(10090, "This service does not exist."))?;
    Ok(json!({
        "id": name,
        "default_environment": {
            "environment": "production",
            "script": {
                "id": name,
                "tag": known.tag,
                "tags": known.settings["tags"].as_array().cloned().unwrap_or_default(),
                "last_deployed_from": "wrangler",
            },
        },
    }))
}

pub(super) fn settings(state: &CloudState, name: &str) -> CloudAnswer {
    let live = script(state, name)?.live();
    let bindings = live.map(|version| shown(&version.bindings)).unwrap_or_default();
    Ok(json!({ "bindings": bindings }))
}

pub(super) fn secrets(state: &CloudState, name: &str) -> CloudAnswer {
    let live = script(state, name)?.live();
    let bindings = live.map(|version| version.bindings.clone()).unwrap_or_default();
    let secrets = bindings.iter().filter(|binding| binding["type"] == "secret_text");
    Ok(secrets.map(|secret| json!({ "name": secret["name"], "type": "secret_text" })).collect())
}

/// The bindings as an answer shows them: without the texts of secrets.
fn shown(bindings: &[Value]) -> Vec<Value> {
    let mut bindings = bindings.to_vec();
    for binding in &mut bindings {
        if binding["type"] == "secret_text" {
            binding.as_object_mut().map(|fields| fields.remove("text"));
        }
    }
    bindings
}

fn described(version: &StoredVersion) -> Value {
    json!({
        "id": version.id,
        "number": version.number,
        "metadata": { "source": "wrangler", "created_on": "2026-11-01T00:00:00Z" },
        "annotations": version.annotations,
        "resources": {
            "bindings": shown(&version.bindings),
            "script": { "etag": version.id, "handlers": ["fetch"] },
            "script_runtime": { "usage_model": "standard" },
        },
        "startup_time_ms": 12,
    })
}

pub(super) fn versions(state: &CloudState, name: &str) -> CloudAnswer {
    let versions = script(state, name)?.versions.iter().rev().take(VERSIONS);
    Ok(json!({ "items": versions.map(described).collect::<Vec<_>>() }))
}

pub(super) fn version(state: &CloudState, name: &str, id: &str) -> CloudAnswer {
    let found = script(state, name)?.versions.iter().find(|version| version.id == id);
    found.map(described).ok_or_else(|| missing(10008, "This version does not exist."))
}

/// The first upload creates the Worker, which is reachable until a later call switches that off.
pub(super) fn put(state: &mut CloudState, name: &str, call: &CloudCall) -> CloudAnswer {
    let version = upload(state, name, call)?;
    let (release, tag) = (state.new_id(), state.new_id().replace('-', ""));
    let script = state.scripts.entry(name.to_owned()).or_insert_with(|| CloudScript {
        enabled: true,
        previews_enabled: true,
        tag: tag.clone(),
        ..CloudScript::default()
    });
    script.versions.push(version.clone());
    script.releases.push(StoredRelease {
        id: release,
        versions: json!([{ "version_id": version.id, "percentage": 100 }]),
        annotations: json!({}),
    });
    let id = version.id.replace('-', "");
    Ok(json!({ "id": name, "etag": id, "tag": tag, "deployment_id": id, "startup_time_ms": 12 }))
}

pub(super) fn post_version(state: &mut CloudState, name: &str, call: &CloudCall) -> CloudAnswer {
    script(state, name)?;
    let version = upload(state, name, call)?;
    let answer = described(&version);
    script_mut(state, name)?.versions.push(version);
    Ok(answer)
}

/// Checks the whole body, with its code and metadata.
fn upload(
    state: &mut CloudState,
    name: &str,
    call: &CloudCall,
) -> Result<StoredVersion, CloudRefusal> {
    let plain =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if name.len() > NAME_LENGTH || !name.chars().all(plain) {
        return Err(refused(10016, "Invalid Worker name."));
    }
    let metadata = call.parts.iter().find(|part| part.name == "metadata");
    let metadata = metadata.ok_or_else(|| refused(10021, "there is no metadata"))?;
    let mut metadata: Value = serde_json::from_slice(&metadata.bytes)
        .map_err(|error| refused(10021, format!("metadata: {error}")))?;
    let (mut modules, mut kinds) = (BTreeMap::new(), BTreeMap::new());
    for part in call.parts.iter().filter(|part| part.name != "metadata") {
        let is_wasm = part.kind == "application/wasm";
        if part.bytes.is_empty() || is_wasm && !part.bytes.starts_with(WASM) {
            return Err(refused(10021, format!("the module {} is not what it says", part.name)));
        }
        let digest = base16ct::lower::encode_string(&Sha256::digest(&part.bytes));
        state.code.insert(digest.clone(), part.bytes.clone());
        modules.insert(part.name.clone(), digest);
        kinds.insert(part.name.clone(), part.kind.clone());
    }
    let main = metadata["main_module"].as_str().unwrap_or_default();
    if !modules.contains_key(main) {
        return Err(refused(10021, format!("the main module {main} is not in the upload")));
    }
    if metadata["compatibility_date"].as_str().is_none() {
        return Err(refused(10021, "there is no compatibility_date"));
    }
    annotations(&metadata["annotations"])?;
    let bindings = bindings::resolve(state, name, &metadata)?;
    let mut pages = BTreeMap::new();
    if let Some(jwt) = metadata["assets"]["jwt"].as_str() {
        pages = assets::check(state, name, jwt)?;
        metadata["assets"]["jwt"] = json!(pages.len());
    }
    let annotations = metadata["annotations"].take();
    if let Some(rest) = metadata.as_object_mut() {
        for name in ["annotations", "bindings", "keep_bindings"] {
            rest.remove(name);
        }
    }
    let number = state.scripts.get(name).map_or(1, |script| script.versions.len() + 1);
    let id = state.new_id();
    Ok(StoredVersion {
        id,
        number,
        bindings,
        annotations,
        runtime: metadata,
        modules,
        kinds,
        pages,
    })
}

fn annotations(annotations: &Value) -> Result<(), CloudRefusal> {
    for (name, most) in [("workers/tag", TAG_BYTES), ("workers/message", MESSAGE_BYTES)] {
        if annotations[name].as_str().is_some_and(|text| text.len() > most) {
            return Err(refused(10021, format!("{name} is longer than {most} bytes")));
        }
    }
    Ok(())
}

pub(super) fn releases(state: &CloudState, name: &str) -> CloudAnswer {
    let newest = script(state, name)?.releases.iter().rev().take(RELEASES);
    let described = newest.map(|release| {
        json!({
            "id": release.id,
            "source": "api",
            "strategy": "percentage",
            "versions": release.versions,
            "annotations": release.annotations,
            "created_on": "2026-11-01T00:00:00Z",
        })
    });
    Ok(json!({ "deployments": described.collect::<Vec<_>>() }))
}

pub(super) fn release(state: &mut CloudState, name: &str, body: &Value) -> CloudAnswer {
    let known = script(state, name)?;
    annotations(&body["annotations"])?;
    let shares = body["versions"].as_array().cloned().unwrap_or_default();
    let exists = |share: &Value| known.versions.iter().any(|of| share["version_id"] == of.id);
    let sum: f64 = shares.iter().filter_map(|share| share["percentage"].as_f64()).sum();
    if body["strategy"] != "percentage" || (sum - 100.0).abs() > 0.001 || shares.len() > 2 {
        return Err(refused(10021, "the percentages of one or two versions make 100"));
    }
    if !shares.iter().all(exists) {
        return Err(refused(10008, "a version of the deployment does not exist"));
    }
    // A Worker to which the version is bound may have been deleted since.
    let chosen = known.versions.iter().filter(|of| shares[0]["version_id"] == of.id);
    for binding in chosen.flat_map(|version| &version.bindings) {
        let service = binding["service"].as_str().unwrap_or(name);
        if !state.scripts.contains_key(service) {
            return Err(refused(10143, format!("Target script '{service}' not found.")));
        }
    }
    let release = StoredRelease {
        id: state.new_id(),
        versions: body["versions"].clone(),
        annotations: body["annotations"].clone(),
    };
    let id = release.id.clone();
    script_mut(state, name)?.releases.push(release);
    Ok(json!({ "id": id }))
}

pub(super) fn patch(state: &mut CloudState, name: &str, body: &Value) -> CloudAnswer {
    script_mut(state, name)?.settings = body.clone();
    Ok(body.clone())
}

pub(super) fn crons(state: &CloudState, name: &str) -> CloudAnswer {
    let crons = script(state, name)?.crons.iter();
    Ok(json!({ "schedules": crons.map(|cron| json!({ "cron": cron })).collect::<Vec<_>>() }))
}

pub(super) fn set_crons(state: &mut CloudState, name: &str, body: &Value) -> CloudAnswer {
    let wanted = body.as_array().ok_or_else(|| refused(10021, "schedules are a list"))?;
    let texts = wanted.iter().map(|cron| cron["cron"].as_str().unwrap_or_default().to_owned());
    let texts: Vec<String> = texts.collect();
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "*/,-#".contains(letter);
    let is_cron = |text: &String| {
        let fields: Vec<&str> = text.split(' ').collect();
        fields.len() == 5 && fields.iter().all(|field| field.chars().all(allowed))
    };
    if texts.len() > CRONS || !texts.iter().all(is_cron) {
        return Err(refused(10100, "invalid cron string"));
    }
    script_mut(state, name)?.crons = texts;
    crons(state, name)
}

pub(super) fn exposure(state: &CloudState, name: &str) -> CloudAnswer {
    let script = script(state, name)?;
    Ok(json!({ "enabled": script.enabled, "previews_enabled": script.previews_enabled }))
}

pub(super) fn set_exposure(
    state: &mut CloudState,
    name: &str,
    body: &Value,
    has_address: bool,
) -> CloudAnswer {
    let (Some(enabled), Some(previews)) =
        (body["enabled"].as_bool(), body["previews_enabled"].as_bool())
    else {
        return Err(refused(10021, "enabled and previews_enabled are true or false"));
    };
    if (enabled || previews) && !has_address {
        return Err(refused(10063, "You need a workers.dev subdomain."));
    }
    let script = script_mut(state, name)?;
    (script.enabled, script.previews_enabled) = (enabled, previews);
    exposure(state, name)
}
