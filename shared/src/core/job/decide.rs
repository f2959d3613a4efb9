//! Decides what a provider's answer means for a step. The function is total and pure, and no other
//! code decides this.
//!
//! It does not decide whether the step may still change: the database refuses a write of an older
//! run.

use super::{Failure, backoff};
use crate::core::media::Output;
use crate::core::provider::{Accepted, CallError, SubmitError, TaskAnswer};

/// What happened to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Submitted(Result<Accepted, SubmitError>),
    Queried(TaskAnswer),
    /// A synchronous call brought no result.
    Called(CallError),
}

/// What to do about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Record the task, then fail the step with the early failure, if there is one.
    Record { task_id: String, early_failure: Option<Failure> },
    /// Copy the result, then complete the step.
    Deliver(Vec<Output>),
    /// Fail the step and refund its credits.
    Fail(Failure),
    /// Requeue the step. With `capacity`, the provider had none, and no attempt is counted.
    Requeue { capacity: bool, delay_ms: u32, failure: Failure },
    /// The step has not ended: only record whether the provider answered.
    Wait { answered: bool },
}

/// `attempts` counts the attempts of the step, this one included; `random` spreads the waits.
pub fn decide(attempts: u32, event: Event, random: u128) -> Decision {
    match event {
        Event::Submitted(Ok(Accepted { task_id, early_failure })) => {
            Decision::Record { task_id, early_failure }
        }
        Event::Submitted(Err(error)) => after_error(attempts, error, random),
        Event::Queried(answer) => after_answer(attempts, answer, random),
        Event::Called(error) => after_call(attempts, error, random),
    }
}

fn after_error(attempts: u32, error: SubmitError, random: u128) -> Decision {
    match error {
        SubmitError::Rejected(failure) => Decision::Fail(failure),
        SubmitError::Unknown => Decision::Wait { answered: false },
        SubmitError::Transient { retry_after_ms, capacity, message } => Decision::Requeue {
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

/// A synchronous provider keeps no state, so a lost answer counts as a transient fault.
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

fn after_answer(attempts: u32, answer: TaskAnswer, random: u128) -> Decision {
    match answer {
        TaskAnswer::Done(outputs) => Decision::Deliver(outputs),
        TaskAnswer::Failed(failure) => Decision::Fail(failure),
        TaskAnswer::Interrupted(failure) => Decision::Requeue {
            capacity: false,
            delay_ms: backoff::transient(attempts, None, random),
            failure,
        },
        TaskAnswer::Running => Decision::Wait { answered: true },
        TaskAnswer::NoSuchTask => Decision::Fail(Failure::new(
            super::FailureCode::ProviderFailed,
            "the provider no longer knows the task",
        )),
        TaskAnswer::NoAnswer => Decision::Wait { answered: false },
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, Event, decide};
    use crate::core::job::{Failure, FailureCode};
    use crate::core::media::Output;
    use crate::core::provider::{Accepted, CallError, SubmitError, TaskAnswer};

    fn failure() -> Failure {
        Failure::new(FailureCode::ProviderRejected, "no")
    }

    fn after(event: Event) -> Decision {
        decide(1, event, 0)
    }

    #[test]
    fn a_submit_is_recorded_failed_requeued_or_left_waiting() {
        let taken = Accepted { task_id: "7".into(), early_failure: Some(failure()) };
        assert_eq!(
            after(Event::Submitted(Ok(taken))),
            Decision::Record { task_id: "7".into(), early_failure: Some(failure()) }
        );
        assert_eq!(
            after(Event::Submitted(Err(SubmitError::Rejected(failure())))),
            Decision::Fail(failure())
        );
        // This rule keeps paid work from running twice.
        assert_eq!(
            after(Event::Submitted(Err(SubmitError::Unknown))),
            Decision::Wait { answered: false }
        );
        let busy = |capacity| SubmitError::Transient {
            retry_after_ms: None,
            capacity,
            message: "x".into(),
        };
        assert!(matches!(
            after(Event::Submitted(Err(busy(true)))),
            Decision::Requeue { capacity: true, delay_ms: 0, .. }
        ));
        assert!(matches!(
            after(Event::Submitted(Err(busy(false)))),
            Decision::Requeue { capacity: false, delay_ms: 1_000, .. }
        ));
    }

    #[test]
    fn a_call_is_failed_or_requeued() {
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
        // Every attempt counts, whatever its cause.
        assert_eq!(decide(2, passing(None, Some(2)), 0), Decision::Fail(failure()));
        assert!(matches!(
            decide(2, passing(None, Some(3)), 0),
            Decision::Requeue { delay_ms: 2_000, .. }
        ));
    }

    #[test]
    fn a_query_delivers_fails_requeues_or_waits() {
        let outputs =
            vec![Output { url: "https://o/a.png".into(), kind: "png".into(), node: None }];
        assert_eq!(
            after(Event::Queried(TaskAnswer::Done(outputs.clone()))),
            Decision::Deliver(outputs)
        );
        assert_eq!(after(Event::Queried(TaskAnswer::Failed(failure()))), Decision::Fail(failure()));
        assert!(matches!(
            after(Event::Queried(TaskAnswer::Interrupted(failure()))),
            Decision::Requeue { capacity: false, .. }
        ));
        assert_eq!(after(Event::Queried(TaskAnswer::Running)), Decision::Wait { answered: true });
        assert_eq!(after(Event::Queried(TaskAnswer::NoAnswer)), Decision::Wait { answered: false });
        assert!(matches!(after(Event::Queried(TaskAnswer::NoSuchTask)), Decision::Fail(_)));
    }
}
