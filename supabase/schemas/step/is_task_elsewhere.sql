-- True when another step has this task, whether that step is live or over. Only the other step may
-- do anything with it.
create or replace function unstuck_private.is_task_elsewhere(
  p_step unstuck.job_steps,
  p_task_id text
)
returns boolean
language sql
stable
set search_path = ''
as
$$
  select exists (
    select from unstuck.job_steps o
    where o.provider = p_step.provider
      and o.provider_task_id = p_task_id
      and (o.job_id, o.step) <> (p_step.job_id, p_step.step)
  )
$$;

revoke all on function unstuck_private.is_task_elsewhere
from public, anon, authenticated, service_role;
