-- Fails one step that has no attempt left, and whose job is locked, with its refund. A job whose
-- ledger disagrees with its row is quarantined instead. No row where the step is no longer at work.
create or replace function unstuck_private.step_fail_exhausted(
  p_now timestamptz,
  p_job_id uuid,
  p_step int
)
returns table (job_id uuid, tool text, status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_attempts int;
begin
  select *
  into v_job
  from unstuck.jobs
  where id = p_job_id;
  select s.attempts
  into v_attempts
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step
    and s.status = 'running'
    and s.provider_done_at is null
    and s.lease_until <= p_now;
  if not found or v_job.quarantined_at is not null then
    return;
  end if;
  if unstuck_private.has_ledger_mismatch(v_job) then
    perform unstuck_private.jobs_quarantine(
      array[p_job_id], 'credits_refunded does not agree with the ledger');
    return;
  end if;
  return query
  select v_job.id, v_job.tool, f.job_status, f.refunded
  from unstuck_private.step_fail(
    v_job, p_step, 'TIMEOUT', format('no answer after %s attempts.', v_attempts)) f;
end $$;

revoke all on function unstuck_private.step_fail_exhausted
from public, anon, authenticated, service_role;
