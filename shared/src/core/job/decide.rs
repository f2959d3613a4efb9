//! What an answer of a provider means for a step. Total, pure, and the only place that decides it.
//!
//! Whether the step may still change is not decided here: the database refuses what comes too late.

use super::{Failure, backoff};
use crate::core::provider::{Accepted, Answer, CallError, Output, ProviderError};

/// What happened to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Submitted(Result<Accepted, ProviderError>),
    Queried(Answer),
    /// A synchronous call brought nothing.
    Called(CallError),
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Record the task; a failure that the provider announced with it follows at once.
    Record { task_id: String, doomed: Option<Failure> },
    /// Copy the result, then complete.
    Deliver(Vec<Output>),
    /// End it and return the credits.
    Fail(Failure),
    /// Back into the queue.
    Requeue { capacity: bool, delay_ms: u32, failure: Failure },
    /// Nothing ended: only note whether the provider answered.
    Wait { answered: bool },
}

/// `attempts` counts the claims of this step so far; `random` spreads the waits.
pub fn decide(attempts: u32, event: Event, random: u128) -> Decision {
    match event {
        Event::Submitted(Ok(Accepted { task_id, doomed })) => Decision::Record { task_id, doomed },
        Event::Submitted(Err(error)) => after_error(attempts, error, random),
        Event::Queried(answer) => after_answer(attempts, answer, random),
        Event::Called(error) => after_call(attempts, error, random),
    }
}

fn after_error(attempts: u32, error: ProviderError, random: u128) -> Decision {
    match error {
        ProviderError::Rejected(failure) => Decision::Fail(failure),
        ProviderError::Unknown => Decision::Wait { answered: false },
        ProviderError::Transient { retry_after_ms, capacity, message } => Decision::Requeue {
            capacity,
            delay_ms: if capacity {
                backoff::capacity(retry_after_ms, random)
            } else {
                backoff::transient(attempts, retry_after_ms, random)
            },
            failure: Failure::new(super::FailureCode::ProviderFailed, message),
        },
    }
}

/// Nothing is left behind at a synchronous provider, so a lost answer is as good as a passing fault.
fn after_call(attempts: u32, error: CallError, random: u128) -> Decision {
    match error {
        CallError::Rejected(failure) => Decision::Fail(failure),
        CallError::Transient { failure, attempts_max: Some(max), .. } if attempts >= max => {
            Decision::Fail(failure)
        }
        CallError::Transient { failure, retry_after_ms, .. } => Decision::Requeue {
            capacity: false,
            delay_ms: backoff::transient(attempts, retry_after_ms, random),
            failure,
        },
    }
}

fn after_answer(attempts: u32, answer: Answer, random: u128) -> Decision {
    match answer {
        Answer::Done(outputs) => Decision::Deliver(outputs),
        Answer::Failed(failure) => Decision::Fail(failure),
        Answer::Interrupted(failure) => Decision::Requeue {
            capacity: false,
            delay_ms: backoff::transient(attempts, None, random),
            failure,
        },
        Answer::Running => Decision::Wait { answered: true },
        Answer::Lost => Decision::Fail(Failure::new(
            super::FailureCode::ProviderFailed,
            "the provider no longer knows the task",
        )),
        Answer::Silent => Decision::Wait { answered: false },
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, Event, decide};
    use crate::core::job::{Failure, FailureCode};
    use crate::core::provider::{Accepted, Answer, CallError, Output, ProviderError};

    fn failure() -> Failure {
        Failure::new(FailureCode::ProviderRejected, "no")
    }

    fn after(event: Event) -> Decision {
        decide(1, event, 0)
    }

    #[test]
    fn submits() {
        let taken = Accepted { task_id: "7".into(), doomed: Some(failure()) };
        assert_eq!(
            after(Event::Submitted(Ok(taken))),
            Decision::Record { task_id: "7".into(), doomed: Some(failure()) }
        );
        assert_eq!(
            after(Event::Submitted(Err(ProviderError::Rejected(failure())))),
            Decision::Fail(failure())
        );
        // The rule that keeps paid work from running twice.
        assert_eq!(
            after(Event::Submitted(Err(ProviderError::Unknown))),
            Decision::Wait { answered: false }
        );
        let busy = |capacity| ProviderError::Transient {
            retry_after_ms: None,
            capacity,
            message: "x".into(),
        };
        assert!(matches!(
            after(Event::Submitted(Err(busy(true)))),
            Decision::Requeue { capacity: true, delay_ms: 30_000, .. }
        ));
        assert!(matches!(
            after(Event::Submitted(Err(busy(false)))),
            Decision::Requeue { capacity: false, delay_ms: 1_000, .. }
        ));
    }

    #[test]
    fn calls() {
        assert_eq!(after(Event::Called(CallError::Rejected(failure()))), Decision::Fail(failure()));
        let passing = |retry_after_ms, attempts_max| {
            Event::Called(CallError::Transient { failure: failure(), retry_after_ms, attempts_max })
        };
        assert!(matches!(
            after(passing(None, None)),
            Decision::Requeue { capacity: false, delay_ms: 1_000, .. }
        ));
        assert!(matches!(
            after(passing(Some(47_500), Some(2))),
            Decision::Requeue { delay_ms: 47_500, .. }
        ));
        // Attempts count whatever ended them.
        assert_eq!(decide(2, passing(None, Some(2)), 0), Decision::Fail(failure()));
        assert!(matches!(
            decide(2, passing(None, Some(3)), 0),
            Decision::Requeue { delay_ms: 2_000, .. }
        ));
    }

    #[test]
    fn queries() {
        let outputs = vec![Output { url: "https://o/a.png".into(), kind: "png".into() }];
        assert_eq!(
            after(Event::Queried(Answer::Done(outputs.clone()))),
            Decision::Deliver(outputs)
        );
        assert_eq!(after(Event::Queried(Answer::Failed(failure()))), Decision::Fail(failure()));
        assert!(matches!(
            after(Event::Queried(Answer::Interrupted(failure()))),
            Decision::Requeue { capacity: false, .. }
        ));
        assert_eq!(after(Event::Queried(Answer::Running)), Decision::Wait { answered: true });
        assert_eq!(after(Event::Queried(Answer::Silent)), Decision::Wait { answered: false });
        assert!(matches!(after(Event::Queried(Answer::Lost)), Decision::Fail(_)));
    }
}
