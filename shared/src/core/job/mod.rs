//! The states of jobs and steps, the words that callers see for them, and the failures of a job.
//!
//! Pure: [`decide`] decides what happens next, [`backoff`] how long to wait. Only SQL functions
//! write a state.

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
    /// Whether the state is final: no later report of a worker changes it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether the job waits for a slot, so that it has a position.
    pub fn waits(self) -> bool {
        matches!(self, Self::Pending | Self::Queued | Self::Blocked)
    }

    /// The word for clients of the RunningHub tools.
    pub fn runninghub_word(self) -> &'static str {
        match self {
            Self::Pending | Self::Queued | Self::Blocked => "queued",
            Self::Starting | Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The word for clients of cards and try-ons.
    pub fn processing_word(self) -> &'static str {
        match self {
            Self::Pending | Self::Queued | Self::Blocked => "pending",
            Self::Starting | Self::Running => "processing",
            Self::Completed | Self::Failed | Self::Cancelled => self.runninghub_word(),
        }
    }
}

/// The column `error_code`: why a job or step ended without a result.
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

/// Why a job or step ended without a result, in words that its owner may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: FailureCode,
    pub text: String,
}

impl Failure {
    pub fn new(code: FailureCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The text for a row: one sentence of at most 500 characters, without addresses and control
    /// characters. The database adds the code before it and the refund after it.
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
    fn every_state_has_the_words_of_the_api() {
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
    fn a_state_is_waiting_working_or_final() {
        for state in ALL {
            let works = matches!(state, State::Starting | State::Running);
            assert_eq!(u8::from(works) + u8::from(state.waits()) + u8::from(state.is_final()), 1);
        }
    }

    #[test]
    fn a_state_is_spelled_as_in_the_database() {
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
