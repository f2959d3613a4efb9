-- Fails a step and refunds it: the whole job under the refund rule `all`, which ends the job, and
-- the step's share under `per_step`. The last open step of a job finalises the job. The job's
-- credits are written from the ledger. Returns the job's status afterwards and what was refunded.
-- Account and job are locked.
create or replace function unstuck_private.step_fail(
  p_job unstuck.jobs,
  p_step int,
  p_code text,
  p_message text
)
returns table (job_status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_status text := 'failed';
  v_given bigint;
begin
  if p_job.refund_rule = 'per_step' then
    update unstuck.job_steps s
    set status = 'failed',
      error_code = p_code,
      error_message = p_code || ': ' || p_message,
      completed_at = clock_timestamp(),
      lease_until = null,
      provider_cancel_due = unstuck_private.cancel_debt_with(s)
    where s.job_id = p_job.id
      and s.step = p_step;
    select case
      when bool_or(not unstuck_private.is_final(s.status)) then 'running'
      when bool_or(s.status = 'completed') then 'completed'
      else 'failed'
    end
    into v_status
    from unstuck.job_steps s
    where s.job_id = p_job.id;
  end if;
  if v_status <> 'running' then
    return query
    select c.status, c.refunded
    from unstuck_private.jobs_finalise(
      array[p_job.id], array[v_status], array[p_code], array[p_message]) c;
    return;
  end if;
  with back as (
    select *
    from unstuck_private.jobs_refund(array[p_job.id], array['running'], array[p_code])
  )
  update unstuck.jobs j
  set credits_charged = b.debit,
    credits_refunded = least(b.refunded::numeric + b.given, b.debit)
  from back b
  where j.id = b.job_id
  returning b.given
  into v_given;
  -- Restart the queue TTL of queued siblings: it is paused while another step of the job works.
  update unstuck.job_steps s
  set deadline_at = least(clock_timestamp() + t.queue_ttl, p_job.expires_at)
  from unstuck.tools t
  where s.job_id = p_job.id
    and s.status = 'queued'
    and t.tool = p_job.tool;
  perform unstuck_private.job_sync_from_steps(array[p_job.id]);
  return query select 'running', v_given;
end $$;

revoke all on function unstuck_private.step_fail from public, anon, authenticated, service_role;
