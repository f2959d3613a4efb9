create or replace function unstuck.step_done_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_task_id text,
  p_output jsonb
)
returns table (outcome text, run bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_step unstuck.job_steps;
  v_expires timestamptz;
  v_older boolean;
  v_same boolean;
begin
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
  then
    return query
    select 'stale', p_run;
    return;
  end if;
  if unstuck_private.is_final(v_step.status) then
    if v_step.status <> 'completed' then
      insert into unstuck.job_events (
        job_id, step, run, event, from_status, to_status, actor, detail
      )
      select
        p_job_id,
        p_step,
        p_run,
        'late_success',
        v_step.status,
        v_step.status,
        'worker',
        jsonb_build_object('task_id', p_task_id, 'output', p_output)
      where not exists (
        select from unstuck.job_events e
        where e.job_id = p_job_id
          and e.step = p_step
          and e.run = p_run
          and e.event = 'late_success'
      );
      -- The task finished: there is nothing left to cancel at the provider.
      update unstuck.job_steps s set
        provider_cancel_due = unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
      where s.job_id = p_job_id
        and s.step = p_step
        and s.provider_cancel_due <> '[]';
    end if;
    return query
    select 'late', p_run;
    return;
  end if;
  v_older := p_run < v_step.run;
  v_same := coalesce(v_step.provider_task_id, p_task_id)
    is not distinct from coalesce(p_task_id, v_step.provider_task_id);
  if
    -- Nobody has claimed the step yet.
    v_step.run = 0
    -- The present run has another task.
    or (not v_older and not v_same)
    -- Another worker copies the result, or another task's result was taken.
    or (
      v_step.provider_done_at is not null
      and (v_step.lease_until > clock_timestamp() or not v_same)
    )
  then
    return query
    select 'stale', v_step.run;
    return;
  end if;
  -- Take a success also of an older run, or of one that was put back, because it is paid work.
  -- Whoever works on the newer run becomes stale, and its task is owed a cancel.
  update unstuck.job_steps s set
    status = 'running',
    run = s.run + v_older::int,
    provider_cancel_due = case
      when v_older
        and s.provider_task_id is distinct from p_task_id
        and s.provider_task_id is not null
      then
        s.provider_cancel_due
        || jsonb_build_object('task_id', s.provider_task_id, 'run', s.run)
      else unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
    end,
    provider_task_id = coalesce(p_task_id, s.provider_task_id),
    output = p_output,
    not_before = null,
    sent_at = coalesce(s.sent_at, clock_timestamp()),
    started_at = coalesce(s.started_at, s.sent_at, clock_timestamp()),
    provider_done_at = coalesce(s.provider_done_at, clock_timestamp()),
    lease_until = clock_timestamp() + i.lease,
    deadline_at = v_expires
  from unstuck_private.intervals() i
  where s.job_id = p_job_id
    and s.step = p_step
  returning s.run into p_run;
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select 'copy', p_run;
end $$;

comment on function unstuck.step_done_v1 is $c$
Caller: whoever learned, by asking, that the provider finished the task.

Effect: frees the slot and takes the lease under which the caller copies the result.
outcome: copy (run: the one to go on with) | late (the step is closed: the success is recorded,
nothing else changes) | stale (not this run's task, or another worker copies it).

Refuses: nothing. Of a task of another step nothing is taken and nothing recorded.

Replay: stale while the copy lease lasts; afterwards copy, for whoever goes on.
$c$;

revoke all on function unstuck.step_done_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_done_v1 to service_role;
