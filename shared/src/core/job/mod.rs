//! States of jobs and steps, the words callers see for them, and why a job ended without a result.
//!
//! Pure: what must happen next is decided in [`decide`], how long to wait in [`backoff`]. Nothing
//! here writes a state; the SQL functions of the same transition do.

pub mod backoff;
pub mod decide;
mod wording;

use serde::{Deserialize, Serialize};

/// A state of a job or a step, as the database spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Pending,
    Queued,
    Blocked,
    Starting,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl State {
    /// Final states are absorbing: nothing a worker reports afterwards changes them.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether the job still waits for a slot, so that a position means something.
    pub fn waits(self) -> bool {
        matches!(self, Self::Pending | Self::Queued | Self::Blocked)
    }

    /// The word the RunningHub tools' clients know.
    pub fn runninghub_word(self) -> &'static str {
        match self {
            Self::Pending | Self::Queued | Self::Blocked => "queued",
            Self::Starting | Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The word that clients of cards and chains know.
    pub fn processing_word(self) -> &'static str {
        match self {
            Self::Pending | Self::Queued | Self::Blocked => "pending",
            Self::Starting | Self::Running => "processing",
            Self::Completed | Self::Failed | Self::Cancelled => self.runninghub_word(),
        }
    }
}

/// Why a job or step ended without a result: the `error_code` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCode {
    ProviderRejected,
    ProviderFailed,
    ContentRefused,
    DeliveryFailed,
}

impl FailureCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProviderRejected => "PROVIDER_REJECTED",
            Self::ProviderFailed => "PROVIDER_FAILED",
            Self::ContentRefused => "CONTENT_REFUSED",
            Self::DeliveryFailed => "DELIVERY_FAILED",
        }
    }
}

/// An end without a result, in words its owner may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: FailureCode,
    pub text: String,
}

impl Failure {
    pub fn new(code: FailureCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The text as rows take it, whoever worded it: one sentence, not longer than a screen, without
    /// addresses and control characters. The database puts the code before it and what was returned
    /// after it.
    pub fn sentence(&self) -> String {
        wording::sentence(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, FailureCode, State};

    const ALL: [State; 8] = [
        State::Pending,
        State::Queued,
        State::Blocked,
        State::Starting,
        State::Running,
        State::Completed,
        State::Failed,
        State::Cancelled,
    ];

    #[test]
    fn every_state_has_the_word_of_the_contract() {
        let words: Vec<_> = ALL.iter().map(|state| state.runninghub_word()).collect();
        assert_eq!(
            words,
            [
                "queued",
                "queued",
                "queued",
                "running",
                "running",
                "completed",
                "failed",
                "cancelled"
            ]
        );
        let words = ALL.map(State::processing_word);
        assert_eq!(
            words,
            [
                "pending",
                "pending",
                "pending",
                "processing",
                "processing",
                "completed",
                "failed",
                "cancelled"
            ]
        );
    }

    #[test]
    fn a_state_waits_works_or_is_final() {
        for state in ALL {
            let works = matches!(state, State::Starting | State::Running);
            assert_eq!(u8::from(works) + u8::from(state.waits()) + u8::from(state.is_final()), 1);
        }
    }

    #[test]
    fn states_read_as_the_database_spells_them() {
        let state: State = serde_json::from_str("\"starting\"").unwrap();
        assert_eq!(state, State::Starting);
    }

    #[test]
    fn a_failure_reads_as_one_short_sentence() {
        let failure = Failure::new(FailureCode::ProviderFailed, "out of memory. ");
        assert_eq!(failure.sentence(), "out of memory.");
        let long = Failure::new(FailureCode::ProviderFailed, "x".repeat(9_000));
        assert_eq!(long.sentence().len(), 501);
    }
}
