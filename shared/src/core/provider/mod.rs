//! The providers' answers in one vocabulary: one folder for each provider, and the registry of all.
//!
//! A new provider is one folder here, its `mod` line and its row in `asynchronous!` or
//! [`SYNCHRONOUS`], and one row of the SQL table `providers`. No I/O and no clock. Nothing here
//! changes a job: `job::decide` decides what an answer means.

mod asynchronous;
mod parsed;
mod synchronous;

pub mod gemini;
pub mod llm;
pub mod replicate;
pub mod runninghub;

pub use asynchronous::{
    Accepted, Asynchronous, CancelAnswer, ListedTask, SubmitDetails, SubmitError, TaskAnswer,
    TaskPage, WebhookReader,
};
pub(crate) use parsed::task_id;
pub use parsed::{About, Alarm, Parsed};
pub use synchronous::CallError;

use crate::core::config::Config;
use crate::core::error::ApiError;

/// A provider that answers with the result while a worker waits.
pub struct SynchronousProvider {
    pub name: &'static str,
    /// The binding of the queue whose consumer claims and works on this provider's steps.
    pub hint_queue: &'static str,
}

/// Makes the list of the asynchronous providers and, for each trait, a function that returns our
/// account by the provider's name. These are functions and not tables, so that a function's wasm
/// contains only what it calls.
macro_rules! asynchronous {
    ($($provider:ident::$Account:ident),+ $(,)?) => {
        /// The names of the providers that work asynchronously after a submit, which sweeps query.
        pub const ASYNCHRONOUS: &[&str] = &[$($provider::NAME),+];

        /// Our account at the asynchronous provider of that name. Fails if one of its settings is
        /// missing, so that nothing is claimed or charged without it.
        pub fn asynchronous<'a>(
            name: &str,
            config: &'a Config,
        ) -> Result<Box<dyn Asynchronous + 'a>, ApiError> {
            match name {
                $($provider::NAME => Ok(Box::new($provider::$Account::from_config(config)?)),)+
                _ => Err(unknown(name)),
            }
        }

        /// Reads the webhooks of the asynchronous provider of that name.
        pub fn webhook_reader<'a>(
            name: &str,
            config: &'a Config,
        ) -> Result<Box<dyn WebhookReader + 'a>, ApiError> {
            match name {
                $($provider::NAME => Ok(Box::new($provider::$Account::from_config(config)?)),)+
                _ => Err(unknown(name)),
            }
        }
    };
}

asynchronous! {
    runninghub::RunningHubAccount,
    replicate::ReplicateAccount,
}

pub const SYNCHRONOUS: &[SynchronousProvider] = &[
    SynchronousProvider { name: gemini::NAME, hint_queue: "GEMINI_HINTS" },
    SynchronousProvider { name: llm::NAME, hint_queue: "LLM_HINTS" },
];

fn unknown(name: &str) -> ApiError {
    ApiError::internal(format!("no asynchronous provider is called {name}"))
}

pub fn is_asynchronous(name: &str) -> bool {
    ASYNCHRONOUS.contains(&name)
}

/// `None`: the provider is not a synchronous one.
pub fn hint_queue(name: &str) -> Option<&'static str> {
    SYNCHRONOUS.iter().find(|provider| provider.name == name).map(|provider| provider.hint_queue)
}
