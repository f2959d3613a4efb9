create or replace function unstuck.step_fail_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_error_code text,
  p_error_message text
)
returns table (outcome text, job_status text, refunded bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  v_job := unstuck_private.job_lock(p_job_id);
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  if v_step.job_id is null then
    return query
    select 'stale', v_job.status, 0::bigint;
    return;
  end if;
  -- The provider says that the task ended, so no cancel is owed for it.
  update unstuck.job_steps s set
    provider_done_at = coalesce(s.provider_done_at, clock_timestamp())
  where s.job_id = p_job_id
    and s.step = p_step;
  return query
  select 'failed', f.job_status, f.refunded
  from unstuck_private.step_fail_or_quarantine(v_job, p_step, p_error_code, p_error_message) f;
end $$;

comment on function unstuck.step_fail_v1 is $c$
Caller: a worker or a healer that learned from the provider that the step failed.

Effect: fails the step and, by the job's refund rule, the job, and refunds in the same transaction.
outcome: failed | stale (not the present run, or final).

Refuses: nothing.

Replay: stale; nothing is refunded twice.
$c$;

revoke all on function unstuck.step_fail_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_fail_v1 to service_role;
