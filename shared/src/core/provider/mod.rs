//! What providers say, in one vocabulary: one folder per provider, and the registry of them all.
//!
//! A new provider is one folder here, its `mod` line and its row in [`ASYNCHRONOUS`] or
//! [`SYNCHRONOUS`], and one row of the SQL table `providers`. No I/O and no clock. Nothing here
//! changes a job: `job::decide` says what an answer means.

mod asynchronous;
mod parsed;
mod synchronous;

pub mod gemini;
pub mod llm;
pub mod replicate;
pub mod runninghub;

pub use asynchronous::{
    Accepted, Asynchronous, ListedTask, Output, SubmitDetails, SubmitError, TaskAnswer, TaskPage,
};
pub use parsed::Parsed;
pub(crate) use parsed::task_id;
pub use synchronous::CallError;

use crate::core::config::Config;
use crate::core::error::ApiError;

/// A provider that works on its own after a submit, so that sweeps query it.
pub struct AsynchronousProvider {
    pub name: &'static str,
    account: for<'a> fn(&'a Config) -> Result<Box<dyn Asynchronous + 'a>, ApiError>,
}

/// A provider that answers with the result while a worker waits.
pub struct SynchronousProvider {
    pub name: &'static str,
    /// The queue binding whose consumer claims and works on this provider's steps.
    pub hint_queue: &'static str,
}

pub const ASYNCHRONOUS: &[AsynchronousProvider] = &[
    AsynchronousProvider {
        name: runninghub::NAME,
        account: |config| Ok(Box::new(runninghub::RunningHubAccount::from_config(config)?)),
    },
    AsynchronousProvider {
        name: replicate::NAME,
        account: |config| Ok(Box::new(replicate::ReplicateAccount::from_config(config)?)),
    },
];

pub const SYNCHRONOUS: &[SynchronousProvider] = &[
    SynchronousProvider { name: gemini::NAME, hint_queue: "GEMINI_HINTS" },
    SynchronousProvider { name: llm::NAME, hint_queue: "LLM_HINTS" },
];

/// Our account at the asynchronous provider of that name. Fails where a setting of it is missing,
/// so that nothing is claimed or charged without one.
pub fn asynchronous<'a>(
    name: &str,
    config: &'a Config,
) -> Result<Box<dyn Asynchronous + 'a>, ApiError> {
    match ASYNCHRONOUS.iter().find(|provider| provider.name == name) {
        Some(provider) => (provider.account)(config),
        None => Err(ApiError::internal(format!("no asynchronous provider is called {name}"))),
    }
}

pub fn is_asynchronous(name: &str) -> bool {
    ASYNCHRONOUS.iter().any(|provider| provider.name == name)
}

/// `None`: the provider is not a synchronous one.
pub fn hint_queue(name: &str) -> Option<&'static str> {
    SYNCHRONOUS.iter().find(|provider| provider.name == name).map(|provider| provider.hint_queue)
}
