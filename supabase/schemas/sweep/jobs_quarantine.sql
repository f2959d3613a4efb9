-- A row that cannot be healed is kept for an operator. It blocks neither its user nor the others:
-- its steps end, so that they hold no slot and are not run, and the provider is told. The caller
-- has locked the jobs.
--
-- This never fails. Where it cannot be written for all, it is written for halves; where it cannot
-- be written for one job, each part of it that can be is, and `unhealed` remembers the job.
create or replace function unstuck_private.jobs_quarantine(p_ids uuid[], p_reason text)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_half int := cardinality(p_ids) / 2;
  v_step int;
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
  begin
    update unstuck.jobs
    set quarantined_at = v_now,
      exclusive_key = null
    where id = any (p_ids)
      and quarantined_at is null;
  exception when others then
    null;
  end;
  for v_step in
    select s.step
    from unstuck.job_steps s
    where s.job_id = any (p_ids)
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
      where s.job_id = any (p_ids)
        and s.step = v_step;
    exception when others then
      null;
    end;
  end loop;
  begin
    insert into unstuck_private.unhealed as u (job_id, retry_at, reason)
    select n.id, v_now + interval '1 minute', p_reason
    from unnest(p_ids) as n (id)
    on conflict (job_id) do update
    set tries = u.tries + 1,
      retry_at = v_now + least(u.tries + 1, 60) * interval '1 minute',
      reason = excluded.reason;
    insert into unstuck.job_events (job_id, event, actor, detail)
    select n.id, 'quarantine_failed', 'sweep', jsonb_build_object('reason', p_reason)
    from unnest(p_ids) as n (id);
  exception when others then
    null;
  end;
end $$;

revoke all on function unstuck_private.jobs_quarantine
from public, anon, authenticated, service_role;
