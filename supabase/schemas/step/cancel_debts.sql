-- Returns the tasks of a cancel debt, one row each. A value that is no list has none, and an
-- element without a task is left out.
create or replace function unstuck_private.cancel_debts(p_due jsonb)
returns table (task_id text, run bigint)
language sql
immutable
set search_path = ''
as
$$
  select d ->> 'task_id', coalesce(unstuck_private.number_or_null(d ->> 'run'), 0)::bigint
  from jsonb_array_elements(
    case when jsonb_typeof(p_due) = 'array' then p_due else '[]' end) d
  where d ->> 'task_id' is not null
$$;

revoke all on function unstuck_private.cancel_debts from public, anon, authenticated, service_role;
