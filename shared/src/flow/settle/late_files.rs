//! Queries a task that succeeded without naming its files.

use crate::core::media::Output;
use crate::core::provider::{Asynchronous, TaskAnswer};
use crate::core::transport::{CopyError, Transport};
use crate::flow::Cx;

/// The number and the interval of the queries, and the time after the task's success during which
/// they are made. RunningHub's and Replicate's own clients wait up to a minute.
const TRIES: u32 = 4;
const PAUSE_MS: u32 = 2_000;
const LATE_S: i32 = 60;
const NO_FILES: &str = "the task ended without a result";

/// Returns the files that the provider lists some seconds later. `done_seconds`: since the task's
/// success. Rejects a task without files only if the provider says so after `LATE_S`; one that does
/// not answer is queried by a later copy.
pub(super) async fn query<T: Transport>(
    cx: &Cx<'_, T>,
    account: &dyn Asynchronous,
    task_id: Option<&str>,
    done_seconds: i32,
) -> Result<Vec<Output>, CopyError> {
    let Some(task_id) = task_id else {
        return Err(CopyError::Rejected(NO_FILES.to_owned()));
    };
    let mut is_answered = false;
    for _ in 0..TRIES {
        let answer = cx.transport.send(account.build_query(task_id)).await;
        match account.parse_query(&answer).value {
            TaskAnswer::Done(outputs) if !outputs.is_empty() => return Ok(outputs),
            TaskAnswer::Failed(failure) => return Err(CopyError::Rejected(failure.text)),
            other => is_answered |= other != TaskAnswer::NoAnswer,
        }
        cx.transport.sleep(PAUSE_MS).await;
    }
    Err(match is_answered && done_seconds > LATE_S {
        true => CopyError::Rejected(NO_FILES.to_owned()),
        false => CopyError::Transient("the task's files are not listed yet".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::{LATE_S, query};
    use crate::core::provider::{asynchronous, runninghub};
    use crate::core::transport::CopyError;
    use crate::flow::Cx;
    use crate::testing::single_step::SingleStepWorld;
    use futures_util::FutureExt;
    use serde_json::{Value, json};

    fn refused(answer: Value, done_seconds: i32) -> CopyError {
        let world = SingleStepWorld::new(false);
        world.0.borrow_mut().query_answer = Some(answer);
        let config = SingleStepWorld::config();
        let cx = Cx { transport: &world, config: &config, request_id: "r", caller: None };
        let account = asynchronous(runninghub::NAME, &config).unwrap();
        let files = query(&cx, &*account, Some("7"), done_seconds).now_or_never();
        files.expect("nothing waits").unwrap_err()
    }

    #[test]
    fn only_a_provider_that_answers_ends_a_task_without_files() {
        let none = json!({"taskId": "7", "status": "SUCCESS", "errorCode": "", "results": null});
        let too_many = json!({"errorCode": "1003", "errorMessage": "too many requests"});
        assert!(matches!(refused(none.clone(), LATE_S + 1), CopyError::Rejected(_)));
        assert!(matches!(refused(none, LATE_S), CopyError::Transient(_)));
        assert!(matches!(refused(too_many, LATE_S + 1), CopyError::Transient(_)));
    }
}
