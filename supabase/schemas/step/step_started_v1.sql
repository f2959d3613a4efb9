create or replace function unstuck.step_started_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text
)
returns table (outcome text, webhook_waiting boolean)
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
  v_waiting boolean;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  perform 1
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
    or coalesce(p_task_id, '') = ''
    or unstuck_private.is_task_of_other_step(v_step, p_task_id)
  then
    return query
    select 'stale', false;
    return;
  end if;
  v_waiting := exists (
    select from unstuck.webhook_inbox w
    where (w.job_id, w.step, w.run) = (p_job_id, p_step, p_run)
      and w.applied_at is null
  );
  if v_step.run = p_run
    and v_step.status in ('starting', 'running')
    and coalesce(v_step.provider_task_id, p_task_id) = p_task_id
  then
    begin
      update unstuck.job_steps s set
        status = 'running',
        provider_task_id = p_task_id,
        -- A webhook may have come first: then the worker that copies the result has the lease.
        lease_until = case when s.provider_done_at is not null then s.lease_until end,
        started_at = coalesce(s.started_at, clock_timestamp()),
        checked_at = coalesce(s.checked_at, clock_timestamp())
      where s.job_id = p_job_id
        and s.step = p_step;
    exception when unique_violation then
      -- Another step took the task at the same moment.
      return query
      select 'stale', false;
      return;
    end;
    perform unstuck_private.job_sync_from_steps(array[p_job_id]);
    perform unstuck_private.slot_limit_rise(v_step);
    perform unstuck_private.circuit_close(v_step, false);
    return query
    select 'running', v_waiting;
    return;
  end if;
  if v_step.provider_task_id = p_task_id
    or v_step.provider_cancel_due @> jsonb_build_array(jsonb_build_object('task_id', p_task_id))
  then
    return query
    select 'stale', v_waiting;
    return;
  end if;
  -- The provider works for a final step or for an older run: the task must be cancelled.
  update unstuck.job_steps s set
    provider_cancel_due = s.provider_cancel_due
      || jsonb_build_object('task_id', p_task_id, 'run', p_run)
  where (s.job_id, s.step) = (p_job_id, p_step);
  return query
  select 'cancel_due', v_waiting;
end $$;

comment on function unstuck.step_started_v1 is $c$
Caller: a worker that got the provider's task for its submission, or a healer that found it later. A
webhook alone is no reason to call it for a task that is still at work.

Effect: records the task; an accepted step closes the circuits of its provider and tool, and raises
the provider's learned limit where it had not so many before. outcome: running | cancel_due (the
step is final or was claimed again: the caller cancels the task at the provider, else a sweep does)
| stale (recorded before, or a task of another step, which changes nothing). webhook_waiting: a
webhook of this run is not applied yet.

Refuses: nothing.

Replay: running for the same task; stale where its cancel is owed already.
$c$;

revoke all on function unstuck.step_started_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_started_v1 to service_role;
