-- Records, once for each run, that the provider has finished the task of a step that had failed or
-- was cancelled. Neither states nor credits change; the task is taken out of the cancel debt. The
-- step is locked.
create or replace function unstuck_private.step_record_late_success(
  p_step unstuck.job_steps,
  p_run bigint,
  p_task_id text,
  p_output jsonb
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck.job_events (
    job_id, step, run, event, from_status, to_status, actor, detail)
  select p_step.job_id, p_step.step, p_run, 'late_success', p_step.status, p_step.status,
    'worker', jsonb_build_object('task_id', p_task_id, 'output', p_output)
  where not exists (
    select from unstuck.job_events e
    where e.job_id = p_step.job_id
      and e.step = p_step.step
      and e.run = p_run
      and e.event = 'late_success'
  );
  update unstuck.job_steps s
  set provider_cancel_due = unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
  where s.job_id = p_step.job_id
    and s.step = p_step.step
    and s.provider_cancel_due <> '[]';
end $$;

revoke all on function unstuck_private.step_record_late_success
from public, anon, authenticated, service_role;
