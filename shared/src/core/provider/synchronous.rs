//! Providers that answer with the result while a worker waits.

use crate::core::job::{Failure, FailureCode};

/// The reason why a synchronous call brought no result. Such a provider keeps no state, so a retry
/// is safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// Final: this call will never succeed.
    Rejected(Failure),
    /// A retry may succeed. `attempts_max` limits the attempts for this cause, if it should get
    /// fewer than the tool allows.
    Transient { failure: Failure, retry_after_ms: Option<u32>, attempts_max: Option<u32> },
}

impl CallError {
    /// A transient fault without further details.
    pub fn transient(text: impl Into<String>) -> Self {
        let failure = Failure::new(FailureCode::ProviderFailed, text);
        Self::Transient { failure, retry_after_ms: None, attempts_max: None }
    }
}
