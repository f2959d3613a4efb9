-- True for the states that a job or step never leaves. The planner inlines it, like `is_live`.
create or replace function unstuck_private.is_final(p_status text) returns boolean
language sql
immutable
as
$$
  select p_status in ('completed', 'failed', 'cancelled')
$$;

revoke all on function unstuck_private.is_final from public, anon, authenticated, service_role;
grant execute on function unstuck_private.is_final to authenticated, service_role;
