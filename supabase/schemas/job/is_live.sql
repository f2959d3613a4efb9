-- True for the states of a job that are not final. It names no table and fixes no search_path, so
-- the planner inlines it and sees the predicate of the partial indexes on `jobs`. Those spell the
-- list out, because tables are created before functions.
create or replace function unstuck_private.is_live(p_status text) returns boolean
language sql
immutable
as
$$
  select p_status in ('pending', 'queued', 'starting', 'running')
$$;

revoke all on function unstuck_private.is_live from public, anon, authenticated, service_role;
grant execute on function unstuck_private.is_live to authenticated, service_role;
