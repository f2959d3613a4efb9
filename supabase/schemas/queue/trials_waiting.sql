-- Returns how many tools have a queued step at a provider that may be claimed as a trial, because
-- the tool's circuit lets one step through now.
create or replace function unstuck_private.trials_waiting(p_provider text, p_now timestamptz)
returns int
language sql
stable
set search_path = ''
as
$$
  select count(*)::int
  from unstuck.tools t
  where t.circuit_open_until <= p_now
    and exists (
      select from unstuck.job_steps s
      join unstuck.jobs j on j.id = s.job_id
      where s.provider = p_provider
        and s.status = 'queued'
        and s.turn_at <= p_now
        and s.line_tool = t.tool
        and unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and unstuck_private.is_in_time(s, p_now)
    )
$$;

revoke all on function unstuck_private.trials_waiting
from public, anon, authenticated, service_role;
