create or replace function unstuck.step_sent_v1(p_job_id uuid, p_step int, p_run bigint)
returns table (applied boolean)
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
  v_step unstuck.job_steps;
  v_now timestamptz;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  if v_step.status is distinct from 'starting' or v_step.sent_at is not null then
    return query
    select false;
    return;
  end if;
  v_now := clock_timestamp();
  update unstuck.job_steps s set
    sent_at = v_now,
    attempts = s.attempts + 1,
    lease_until = v_now + t.start_timeout,
    deadline_at = least(v_now + t.run_timeout, j.expires_at)
  from unstuck.jobs j
  join unstuck.tools t using (tool)
  where s.job_id = p_job_id
    and s.step = p_step
    and j.id = s.job_id;
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select true;
end $$;

comment on function unstuck.step_sent_v1 is $c$
Caller: a worker, before its request leaves for the provider.

Effect: records that the step was sent, and counts the attempt. applied = false: not the present
run, or sent before; the worker must not submit.

Refuses: nothing.

Replay: applied = false.
$c$;

revoke all on function unstuck.step_sent_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_sent_v1 to service_role;
