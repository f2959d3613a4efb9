-- Closes the circuits of the provider and the tool of a step that the provider has accepted, and
-- clears the faults that were counted. It writes only where there is something to clear. A step
-- that was claimed before a circuit opened proves nothing about it. With `p_is_completed` the step
-- was completed, which proves something at a synchronous provider only: any other one had accepted
-- the step before.
--
-- Its callers hold an account and a job, against the lock order. Nobody can be waiting for them in
-- turn: whoever has locked a provider or a tool skips locked jobs and waits for nothing else.
create or replace function unstuck_private.circuit_close(
  p_step unstuck.job_steps,
  p_is_completed boolean
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_is_completed
    and not (select p.synchronous from unstuck.providers p where p.provider = p_step.provider)
  then
    return;
  end if;
  update unstuck.providers p
  set account_faults = 0,
    circuit_open_until = null
  where p.provider = p_step.provider
    and (p.account_faults > 0 or p.circuit_open_until is not null)
    and (p.circuit_opened_at is null or p_step.claimed_at >= p.circuit_opened_at);
  update unstuck.tools t
  set account_faults = 0,
    circuit_open_until = null
  where t.tool = (select j.tool from unstuck.jobs j where j.id = p_step.job_id)
    and (t.account_faults > 0 or t.circuit_open_until is not null)
    and (t.circuit_opened_at is null or p_step.claimed_at >= t.circuit_opened_at);
end $$;

revoke all on function unstuck_private.circuit_close
from public, anon, authenticated, service_role;
