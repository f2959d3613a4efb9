-- How many live rows are past every healer's patience; past 10,000 it stops counting.
create or replace function unstuck_private.count_stuck(p_now timestamptz) returns int
language sql
stable
set search_path = ''
as
$$
  select count(*)::int
  from (
    select
    from unstuck.jobs j
    cross join unstuck_private.intervals() i
    where j.status in ('pending', 'queued', 'starting', 'running')
      and j.quarantined_at is null
      and j.deadline_at <= p_now - i.sql_wait - i.grace
    limit 10000
  ) s
$$;

revoke all on function unstuck_private.count_stuck from public, anon, authenticated, service_role;
