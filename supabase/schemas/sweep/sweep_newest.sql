-- Returns the pass that finished last; no row before the first one.
create or replace function unstuck_private.sweep_newest() returns setof unstuck.sweeps
language sql
stable
set search_path = ''
as
$$
  select *
  from unstuck.sweeps w
  where w.finished_at is not null
  order by w.finished_at desc
  limit 1
$$;

revoke all on function unstuck_private.sweep_newest from public, anon, authenticated, service_role;
