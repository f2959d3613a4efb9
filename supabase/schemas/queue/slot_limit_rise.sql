-- Learns from a step that an asynchronous provider accepted: where it had more of our steps at the
-- same time than the learned limit, the limit rises to that number, and the next probe follows
-- soon. It writes only where there is something to learn.
--
-- Its caller holds a job, against the lock order, as the callers of `circuit_close` do. It calls
-- this before `circuit_close`, because a provider is locked before a tool.
create or replace function unstuck_private.slot_limit_rise(p_step unstuck.job_steps)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_taken int;
begin
  if not exists (
    select from unstuck.providers p
    where p.provider = p_step.provider
      and p.learned_limit is not null
  ) then
    return;
  end if;
  v_taken := unstuck_private.peak_at_provider(p_step.provider, p_step.sent_at, false);
  update unstuck.providers p
  set learned_limit = v_taken,
    limit_probe_at = clock_timestamp() + unstuck_private.probe_pause(false)
  where p.provider = p_step.provider
    and p.learned_limit < v_taken;
end $$;

revoke all on function unstuck_private.slot_limit_rise
from public, anon, authenticated, service_role;
