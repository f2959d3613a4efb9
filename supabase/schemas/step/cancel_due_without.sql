-- The cancels owed to the provider, without those of one task.
create or replace function unstuck_private.cancel_due_without(p_due jsonb, p_task_id text)
returns jsonb
language sql
immutable
as
$$
  select coalesce(jsonb_agg(d), '[]')
  from jsonb_array_elements(p_due) d
  where d ->> 'task_id' is distinct from p_task_id
$$;

revoke all on function unstuck_private.cancel_due_without
from public, anon, authenticated, service_role;
