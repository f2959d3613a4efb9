-- True when the provider's task belongs to another step, live or final, or is in the cancel debt of
-- one. A report that names this task for this step is a mistake and must change nothing.
create or replace function unstuck_private.is_task_of_other_step(
  p_step unstuck.job_steps,
  p_task_id text
)
returns boolean
language plpgsql
stable
set search_path = ''
as
$$
begin
  return
    exists (
      select from unstuck.job_steps o
      where o.provider = p_step.provider
        and o.provider_task_id = p_task_id
        and (o.job_id, o.step) <> (p_step.job_id, p_step.step)
    )
    or exists (
      select from unstuck.job_steps o
      where o.provider = p_step.provider
        and o.provider_cancel_due <> '[]'
        and o.provider_cancel_due @> jsonb_build_array(jsonb_build_object('task_id', p_task_id))
        and (o.job_id, o.step) <> (p_step.job_id, p_step.step)
    );
end $$;

revoke all on function unstuck_private.is_task_of_other_step
from public, anon, authenticated, service_role;
