-- True when this run of the step was requeued after it had another task than this one. A report
-- that names this task for that run is a mistake and must change nothing.
create or replace function unstuck_private.is_task_of_other_run(
  p_step unstuck.job_steps,
  p_run bigint,
  p_task_id text
)
returns boolean
language plpgsql
stable
set search_path = ''
as
$$
begin
  return exists (
    select
    from unstuck.job_events e
    where e.job_id = p_step.job_id
      and e.step = p_step.step
      and e.detail -> 'last_task' @> jsonb_build_object('run', p_run)
      and e.detail -> 'last_task' ->> 'task_id' <> p_task_id
  );
end $$;

revoke all on function unstuck_private.is_task_of_other_run
from public, anon, authenticated, service_role;
