//! Judges the Workers of a deployment as Cloudflare's API shows them.

use super::Finding;
use super::findings::{good, lack};
use super::observed::{Expected, Observed};
use crate::deploy::account::removal;

const SUBJECT: &str = "Cloudflare";

pub(super) fn account(observed: &Observed, expected: &Expected) -> Vec<Finding> {
    let state = match &observed.account {
        Some(Ok(state)) => state,
        Some(Err(words)) => {
            return vec![lack(SUBJECT, words, "check CLOUDFLARE_API_TOKEN and account_id")];
        }
        None => return Vec::new(),
    };
    let mut found = Vec::new();
    for worker in &state.changed {
        let words = "somebody else made the version that is in force";
        found.push(lack(format!("Worker {worker}"), words, expected.deploy()));
    }
    for (worker, lacking) in &state.lacking {
        let words = format!("not as its version says: {}", lacking.join(", "));
        found.push(lack(format!("Worker {worker}"), words, expected.deploy()));
    }
    if found.is_empty() {
        found.push(good(SUBJECT, "what starts each Worker is as it was deployed"));
    }
    let stray = |name: &String| Finding {
        cure: Some(removal(name)),
        ..good(
            format!("Worker {name}"),
            "it is of this deployment and of no function of this checkout, and is left alone",
        )
    };
    found.extend(state.strays.iter().map(stray));
    found
}
