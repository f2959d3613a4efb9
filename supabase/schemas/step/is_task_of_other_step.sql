-- True when another step has this task of the provider, live or over, or owes a cancel for it. Only
-- that step may do anything with it: whoever names it at this step's address is mistaken.
create or replace function unstuck_private.is_task_of_other_step(
  p_step unstuck.job_steps,
  p_task_id text
)
returns boolean
language sql
stable
set search_path = ''
as
$$
  select
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
    )
$$;

revoke all on function unstuck_private.is_task_of_other_step
from public, anon, authenticated, service_role;
