-- Closes the circuits of the provider and the tool of a step that the provider accepted, and clears
-- the faults that were counted. A step that was claimed before a circuit opened proves nothing
-- about it, and a completion proves something at a synchronous provider alone: elsewhere the step
-- was accepted before. It writes only where there is something to clear.
--
-- Its callers hold an account and a job, against the lock order. Nobody can wait for them in turn:
-- who holds a provider's or a tool's row skips locked jobs, and waits for nothing else.
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
