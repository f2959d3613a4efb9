-- True for a website's attempt whose worker stopped: it runs, and no lease covers it. A row that
-- others wrote has no lease; its deadline counts.
create or replace function unstuck_private.is_stale_attempt(
  p_step unstuck.job_steps,
  p_now timestamptz
)
returns boolean
language sql
immutable
as
$$
  select p_step.status = 'running'
    and p_step.provider_done_at is null
    and coalesce(p_step.lease_until, p_step.deadline_at) <= p_now
$$;

revoke all on function unstuck_private.is_stale_attempt
from public, anon, authenticated, service_role;
