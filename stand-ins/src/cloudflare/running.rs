//! Describes what is in force, as it was uploaded and set, to `edge.mjs`, which runs it.

use serde_json::{Value, json};

use super::account::{CloudScript, CloudState};

/// `None` if the revision is the known one.
pub(super) fn describe(state: &CloudState, subdomain: Option<&str>, known: u64) -> Option<Value> {
    (state.revision != known).then(|| {
        let workers = state.scripts.iter().filter_map(|(name, script)| worker(state, name, script));
        json!({
            "revision": state.revision,
            "subdomain": subdomain,
            "workers": workers.collect::<Vec<_>>(),
        })
    })
}

/// `None` for a Worker without code, which another owner has: it is not run.
fn worker(state: &CloudState, name: &str, script: &CloudScript) -> Option<Value> {
    let live = script.live().filter(|version| !version.modules.is_empty())?;
    let modules = live.modules.iter().map(
        |(name, digest)| json!({ "name": name, "digest": digest, "kind": live.kinds.get(name) }),
    );
    let consumed = state.queues.iter().filter_map(|(queue, stored)| {
        let consumer = stored.consumer.as_ref().filter(|consumer| consumer.script == name)?;
        Some(json!({ "queue": queue, "settings": consumer.settings }))
    });
    Some(json!({
        "name": name,
        "version": live.id,
        "runtime": live.runtime,
        "modules": modules.collect::<Vec<_>>(),
        "bindings": live.bindings,
        "pages": live.pages,
        "crons": script.crons,
        "consumes": consumed.collect::<Vec<_>>(),
        "hasAddress": script.enabled,
    }))
}
