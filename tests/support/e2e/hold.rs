//! Stops a worker between its claim and its submit, or between its copy and the end of the step, so
//! that a test can kill it there.
//!
//! The write of `sent_at` is the last thing that a worker does before a submit, and the write of
//! `completed` is the first after a copy. A trigger makes that write wait for an advisory lock,
//! which the owner's session holds. It waits without a lock timeout, because the checker, which
//! waits 20 ms for a lock, would give up before the test looks.

use anyhow::{Result, ensure};
use tokio_postgres::Client;

const SUBMIT: &str = "old.sent_at is null and new.sent_at is not null";
const FINISH: &str = "old.status <> 'completed' and new.status = 'completed'";

const TAKE_DOWN: &str = "
select pg_advisory_unlock(54320);
drop trigger hold_a_worker on unstuck.job_steps;
drop function unstuck_private.hold_a_worker()";

const WAITING: &str =
    "select pid from pg_locks where locktype = 'advisory' and objid = 54320 and not granted";

/// No worker gets past that write until [`Hold::release`].
pub struct Hold {
    owner: Client,
}

impl Hold {
    /// Holds each worker before its submit.
    pub async fn before_submit(owner: Client) -> Result<Self> {
        Self::set(owner, SUBMIT).await
    }

    /// Holds each worker before it completes its step.
    pub async fn before_finish(owner: Client) -> Result<Self> {
        Self::set(owner, FINISH).await
    }

    async fn set(owner: Client, point: &str) -> Result<Self> {
        let set_up = format!(
            "create or replace function unstuck_private.hold_a_worker() returns trigger
                language plpgsql set lock_timeout = 0 as
             $$ begin perform pg_advisory_xact_lock_shared(54320); return new; end $$;
             create or replace trigger hold_a_worker before update on unstuck.job_steps
             for each row when ({point}) execute function unstuck_private.hold_a_worker();
             select pg_advisory_lock(54320)"
        );
        owner.batch_execute(&set_up).await?;
        Ok(Self { owner })
    }

    /// Whether a worker waits at the held write.
    pub async fn has_caught(&self) -> Result<bool> {
        Ok(!self.owner.query(WAITING, &[]).await?.is_empty())
    }

    /// Ends the sessions whose writes wait, because their workers are dead, and removes the
    /// trigger.
    pub async fn release(self) -> Result<()> {
        let cancel = format!("select pg_terminate_backend(w.pid, 5000) from ({WAITING}) w");
        for row in self.owner.query(&cancel, &[]).await? {
            ensure!(row.get::<_, bool>(0), "a waiting write could not be ended");
        }
        self.owner.batch_execute(TAKE_DOWN).await?;
        Ok(())
    }
}
