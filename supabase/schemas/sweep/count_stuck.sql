-- Live jobs that every healer should have closed by now.
create or replace function unstuck_private.count_stuck(p_now timestamptz) returns int
language sql
stable
set search_path = ''
as
$$
  select count(*)::int
  from unstuck.jobs j
  cross join unstuck_private.intervals() i
  where j.status in ('pending', 'queued', 'starting', 'running')
    and j.quarantined_at is null
    and j.deadline_at <= p_now - i.sql_wait - i.grace
$$;

revoke all on function unstuck_private.count_stuck from public, anon, authenticated, service_role;
