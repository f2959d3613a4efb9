//! A function that panics on demand. Only tests run it; it is never deployed.

use serde::{Deserialize, Serialize};
use shared::core::error::ApiError;
use shared::edge::Call;

shared::function! {
    name: "panicking",
    ops: {
        POST "" for Public => panic_on_demand,
    },
}

#[derive(Deserialize)]
struct Demand {
    panic: Option<bool>,
}

#[derive(Serialize)]
struct Survived {
    ok: bool,
}

#[expect(clippy::panic, reason = "the point of this function")]
async fn panic_on_demand(_: &Call, demand: Demand) -> Result<Survived, ApiError> {
    if demand.panic == Some(true) {
        panic!("asked to");
    }
    Ok(Survived { ok: true })
}
