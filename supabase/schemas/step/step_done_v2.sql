create or replace function unstuck.step_done_v2(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text,
  p_output jsonb
)
returns table (outcome text, run bigint, result jsonb, may_start int)
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
  v_expires timestamptz;
  v_older boolean;
  v_same boolean;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  select j.expires_at
  into v_expires
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  select s.*
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = p_step
  for update;
  if not found
    or p_run > v_step.run
    or v_step.status = 'blocked'
    or unstuck_private.is_task_of_other_step(v_step, p_task_id)
    or unstuck_private.is_task_of_other_run(v_step, p_run, p_task_id)
  then
    return query
    select 'stale', p_run, null::jsonb, 0;
    return;
  end if;
  if unstuck_private.is_final(v_step.status) then
    if v_step.status <> 'completed' then
      perform unstuck_private.step_record_late_success(v_step, p_run, p_task_id, p_output);
    end if;
    return query
    select 'late', p_run, null::jsonb, 0;
    return;
  end if;
  v_older := p_run < v_step.run;
  v_same := coalesce(v_step.provider_task_id, p_task_id)
    is not distinct from coalesce(p_task_id, v_step.provider_task_id);
  -- Stale: no worker has claimed the step yet; or its run has another task; or another worker
  -- copies the result; or the result of another task was taken.
  if v_step.run = 0
    or (not v_older and not v_same)
    or (
      v_step.provider_done_at is not null
      and (v_step.lease_until > clock_timestamp() or not v_same)
    )
  then
    return query
    select 'stale', v_step.run, null::jsonb, 0;
    return;
  end if;
  p_run := unstuck_private.step_take_success(v_step, v_older, p_task_id, p_output, v_expires);
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select 'copy', p_run, v_step.input -> 'result',
    unstuck_private.may_start(v_step.provider);
end $$;

comment on function unstuck.step_done_v2 is $c$
Caller: a worker or a healer that learned from the provider that the task finished.

Effect: frees the slot and gives the caller the lease under which it copies the result. outcome:
copy (run: the run to go on with; result: which file is the result, as the stored request says;
may_start: how many waiting steps a claim would take now) |
late (the step is final: the success is recorded, and nothing else changes) | stale (not this run's
task, or another worker copies the result). A task of another step or run changes nothing.

Refuses: nothing.

Replay: stale while the lease lasts; afterwards copy, for the next worker.
$c$;

revoke all on function unstuck.step_done_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_done_v2 to service_role;
