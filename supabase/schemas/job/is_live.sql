-- The small rules below name no table, so they go without a fixed search_path: that lets the planner inline them.
create or replace function unstuck_private.is_live(p_status text) returns boolean
language sql
immutable
as
$$ select p_status in ('pending', 'queued', 'starting', 'running') $$;

revoke all on function unstuck_private.is_live from public, anon, authenticated, service_role;
grant execute on function unstuck_private.is_live to authenticated, service_role;
