-- Keeps the healers away from jobs that they cannot heal, until an operator looks. A quarantined
-- job blocks neither its user nor other jobs: its steps fail and hold no slot, and their cancel
-- debts are written. The caller has locked the jobs.
--
-- This never fails. If it cannot be written for all, it is written for each half, and in the end
-- for each part of the one job that refuses it (`job_quarantine_parts`).
create or replace function unstuck_private.jobs_quarantine(p_ids uuid[], p_reason text)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_half int := cardinality(p_ids) / 2;
  v_now timestamptz := clock_timestamp();
begin
  begin
    insert into unstuck.job_events (job_id, event, from_status, to_status, actor, detail)
    select j.id, 'quarantined', j.status, j.status, 'sweep',
      jsonb_build_object('reason', p_reason)
    from unstuck.jobs j
    where j.id = any (p_ids)
      and j.quarantined_at is null;
    update unstuck.jobs
    set quarantined_at = v_now,
      exclusive_key = null
    where id = any (p_ids)
      and quarantined_at is null;
    update unstuck.job_steps s
    set status = 'failed',
      error_code = 'CREDIT_ERROR',
      error_message = 'CREDIT_ERROR: kept for an operator.',
      completed_at = v_now,
      lease_until = null,
      checked_at = null,
      provider_cancel_due = unstuck_private.cancel_debt_with(s)
    where s.job_id = any (p_ids)
      and not unstuck_private.is_final(s.status);
    return;
  exception when others then
    p_reason := case when v_half > 0 then p_reason else concat_ws('; ', p_reason, sqlerrm) end;
  end;
  if v_half > 0 then
    perform unstuck_private.jobs_quarantine(p_ids[:v_half], p_reason);
    perform unstuck_private.jobs_quarantine(p_ids[v_half + 1:], p_reason);
    return;
  end if;
  perform unstuck_private.job_quarantine_parts(p_ids[1], p_reason);
end $$;

revoke all on function unstuck_private.jobs_quarantine
from public, anon, authenticated, service_role;
