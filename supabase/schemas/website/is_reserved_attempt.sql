-- True when a cleanup reserved this stale attempt less than 45 seconds ago and is calling the
-- function of its tool.
create or replace function unstuck_private.is_reserved_attempt(
  p_step unstuck.job_steps,
  p_now timestamptz
)
returns boolean
language sql
immutable
as
$$
  select coalesce(p_step.checked_at > p_now - interval '45 seconds', false)
$$;

revoke all on function unstuck_private.is_reserved_attempt
from public, anon, authenticated, service_role;
