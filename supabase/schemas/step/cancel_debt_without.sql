-- Returns a cancel debt without this task. A value that is no list counts as empty.
create or replace function unstuck_private.cancel_debt_without(p_due jsonb, p_task_id text)
returns jsonb
language sql
immutable
as
$$
  select coalesce(jsonb_agg(d), '[]')
  from jsonb_array_elements(
    case when jsonb_typeof(p_due) = 'array' then p_due else '[]' end) d
  where d ->> 'task_id' is distinct from p_task_id
$$;

revoke all on function unstuck_private.cancel_debt_without
from public, anon, authenticated, service_role;
