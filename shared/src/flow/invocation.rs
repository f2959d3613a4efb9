//! One request as a use case sees it.

use super::Cx;
use crate::core::auth::{Caller, Quota};
use crate::core::error::ApiError;
use crate::core::id::{JobId, UserId};
use crate::core::transport::Streams;

/// The data and the services that the platform gives to a handler in addition to its typed body.
#[expect(async_fn_in_trait, reason = "one thread: futures here are never sent")]
pub trait Invocation {
    type Transport: Streams + 'static;

    fn cx(&self) -> Cx<'_, Self::Transport>;

    fn caller(&self) -> &Caller;

    /// The user for whom this call works. Never fails if the operation admits only users.
    fn user(&self) -> Result<UserId, ApiError> {
        self.caller().user_id().ok_or_else(ApiError::forbidden)
    }

    /// The `Idempotency-Key` header.
    fn idempotency_key(&self) -> Option<&str>;

    /// Names the job in the log line of this request.
    fn log_job(&self, job: JobId);

    /// Runs `work` after the answer. The platform ends it after 30 s.
    fn background(&self, work: impl AsyncFnOnce(Cx<'_, Self::Transport>) + 'static);

    /// Counts this call against one more limit, for work beyond that of its operation.
    async fn count_against(&self, quota: Quota) -> Result<(), ApiError>;
}
