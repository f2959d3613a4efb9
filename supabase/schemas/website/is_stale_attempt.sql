-- True for a website's attempt whose worker stopped: it is running, and its lease has ended. For a
-- row without a lease, which others wrote, the deadline counts.
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
