//! Stops a worker at one exact point, between its claim and its submit, so that it can be killed there.
//!
//! The write of `sent_at` is the last thing before a submit leaves. A trigger of the owner's makes that write wait for a
//! lock that the owner holds.

use anyhow::{Result, ensure};
use tokio_postgres::Client;

const SET_UP: &str = "
create or replace function private.hold_before_submit() returns trigger language plpgsql as
$$ begin perform pg_advisory_xact_lock_shared(54320); return new; end $$;
create or replace trigger hold_before_submit before update of sent_at on public.job_steps
for each row when (old.sent_at is null and new.sent_at is not null) execute function private.hold_before_submit();
select pg_advisory_lock(54320)";

const TAKE_DOWN: &str = "
select pg_advisory_unlock(54320);
drop trigger hold_before_submit on public.job_steps;
drop function private.hold_before_submit()";

const WAITING: &str = "select pid from pg_locks where locktype = 'advisory' and objid = 54320 and not granted";

/// From now on no submit leaves.
pub struct Hold {
    owner: Client,
}

impl Hold {
    pub async fn set(owner: Client) -> Result<Self> {
        owner.batch_execute(SET_UP).await?;
        Ok(Self { owner })
    }

    /// Whether a worker stands there.
    pub async fn has_caught(&self) -> Result<bool> {
        Ok(!self.owner.query(WAITING, &[]).await?.is_empty())
    }

    /// Ends the writes that wait: the worker that wanted them is dead. Then submits may leave again.
    pub async fn release(self) -> Result<()> {
        let cancel = format!("select pg_terminate_backend(w.pid, 5000) from ({WAITING}) w");
        for row in self.owner.query(&cancel, &[]).await? {
            ensure!(row.get::<_, bool>(0), "a waiting write could not be ended");
        }
        self.owner.batch_execute(TAKE_DOWN).await?;
        Ok(())
    }
}
