-- Called when steps were claimed at `p_now`: where they are the trial of an open circuit, of the
-- provider or of their tool, keeps further steps waiting for `circuit_pause`. The caller has locked
-- the provider.
create or replace function unstuck_private.circuit_trial(p_provider text, p_now timestamptz)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.providers p
  set circuit_open_until = p_now + unstuck_private.circuit_pause()
  where p.provider = p_provider
    and p.circuit_open_until is not null;
  update unstuck.tools t
  set circuit_open_until = p_now + unstuck_private.circuit_pause()
  where t.circuit_open_until is not null
    and exists (
      select from unstuck.job_steps s
      join unstuck.jobs j on j.id = s.job_id
      where s.provider = p_provider
        and unstuck_private.holds_slot(s)
        and s.claimed_at = p_now
        and j.tool = t.tool
    );
end $$;

revoke all on function unstuck_private.circuit_trial
from public, anon, authenticated, service_role;
