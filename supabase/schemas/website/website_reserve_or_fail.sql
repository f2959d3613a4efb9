-- Fails a website whose attempt stopped, with its refund, if it has no attempt or no time left;
-- otherwise reserves it for the caller, which retries it. Account, job and step are locked. No row
-- where another cleanup or the owner was first, and none where the ledger disagrees with the row:
-- that job is quarantined.
create or replace function unstuck_private.website_reserve_or_fail(p_job_id uuid, p_step int)
returns table (tool text, run bigint, retries int, action text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_now timestamptz := clock_timestamp();
begin
  select *
  into v_job
  from unstuck.jobs
  where id = p_job_id;
  select *
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step;
  if v_job.quarantined_at is not null
    or not unstuck_private.is_stale_attempt(v_step, v_now)
    or unstuck_private.is_reserved_attempt(v_step, v_now)
  then
    return;
  end if;
  if unstuck_private.has_ledger_mismatch(v_job) then
    perform unstuck_private.jobs_quarantine(
      array[p_job_id], 'credits_refunded does not agree with the ledger');
    return;
  end if;
  if v_job.expires_at <= v_now
    or (
      select greatest(v_step.attempts, v_job.retries + 1) >= t.attempt_max
      from unstuck.tools t
      where t.tool = v_job.tool
    )
  then
    return query
    select v_job.tool, v_step.run, v_job.retries, 'failed', f.refunded
    from unstuck_private.website_fail(v_job, v_step) f;
    return;
  end if;
  update unstuck.job_steps s
  set checked_at = v_now
  where s.job_id = p_job_id
    and s.step = p_step;
  return query
  select v_job.tool, v_step.run, v_job.retries, 'retry', 0::bigint;
end $$;

revoke all on function unstuck_private.website_reserve_or_fail
from public, anon, authenticated, service_role;
