-- Quarantines one job on which a trigger or a constraint refuses some change: it writes each part
-- that can be written, and a row of `unhealed`, which keeps the healers away from the job for a
-- while. It never fails.
create or replace function unstuck_private.job_quarantine_parts(p_job_id uuid, p_reason text)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_step int;
  v_now timestamptz := clock_timestamp();
begin
  begin
    update unstuck.jobs
    set quarantined_at = v_now,
      exclusive_key = null
    where id = p_job_id
      and quarantined_at is null;
  exception when others then
    null;
  end;
  for v_step in
    select s.step
    from unstuck.job_steps s
    where s.job_id = p_job_id
      and not unstuck_private.is_final(s.status)
  loop
    begin
      update unstuck.job_steps s
      set status = 'failed',
        error_code = 'CREDIT_ERROR',
        error_message = 'CREDIT_ERROR: kept for an operator.',
        completed_at = v_now,
        lease_until = null,
        provider_cancel_due = unstuck_private.cancel_debt_with(s)
      where s.job_id = p_job_id
        and s.step = v_step;
    exception when others then
      null;
    end;
  end loop;
  begin
    insert into unstuck_private.unhealed as u (job_id, retry_at, reason)
    values (p_job_id, v_now + interval '1 minute', p_reason)
    on conflict (job_id) do update
    set tries = u.tries + 1,
      retry_at = v_now + least(u.tries + 1, 60) * interval '1 minute',
      reason = excluded.reason;
    insert into unstuck.job_events (job_id, event, actor, detail)
    values (p_job_id, 'quarantine_failed', 'sweep', jsonb_build_object('reason', p_reason));
  exception when others then
    null;
  end;
end $$;

revoke all on function unstuck_private.job_quarantine_parts
from public, anon, authenticated, service_role;
