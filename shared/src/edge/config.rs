//! Reads the environment once per isolate. Its variables do not change while the isolate lives, and
//! every read crosses into JavaScript.

use std::cell::RefCell;
use std::rc::Rc;

use worker::Env;

use crate::core::config::{Config, RequiredGroups};
use crate::core::error::ApiError;

thread_local! {
    static PARSED: RefCell<Option<Rc<Config>>> = const { RefCell::new(None) };
}

/// Returns the configuration, or a 500 that names the missing or invalid setting. A failure is not
/// cached.
pub fn config(env: &Env, required: RequiredGroups) -> Result<Rc<Config>, ApiError> {
    if let Some(known) = PARSED.with_borrow(Clone::clone) {
        return Ok(known);
    }
    let config = Rc::new(Config::parse(
        |name| env.var(name).ok().map(|value| value.to_string()),
        &required.variables(),
    )?);
    PARSED.set(Some(Rc::clone(&config)));
    Ok(config)
}
