-- Returns the cancel debt of a step that ends now: the debt that it has, and its present task if
-- the provider still works on it. A value that is no list counts as empty.
create or replace function unstuck_private.cancel_debt_with(p_step unstuck.job_steps) returns jsonb
language sql
immutable
as
$$
  select
    case
      when jsonb_typeof(p_step.provider_cancel_due) = 'array' then p_step.provider_cancel_due
      else '[]'
    end
    || case
      when p_step.sent_at is not null
        and p_step.provider_done_at is null
        and p_step.provider_task_id is not null
      then jsonb_build_array(
        jsonb_build_object('task_id', p_step.provider_task_id, 'run', p_step.run))
      else '[]'
    end
$$;

revoke all on function unstuck_private.cancel_debt_with
from public, anon, authenticated, service_role;
