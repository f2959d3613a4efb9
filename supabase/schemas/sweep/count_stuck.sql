-- Returns how many live jobs are past the deadline of every healer, up to 10,000.
create or replace function unstuck_private.count_stuck(p_now timestamptz) returns int
language plpgsql
stable
set search_path = ''
as
$$
begin
  return (
    select count(*)::int
    from (
      select
      from unstuck.jobs j
      cross join unstuck_private.intervals() i
      where unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and j.deadline_at <= p_now - i.sql_wait - i.grace
      limit 10000
    ) s
  );
end $$;

revoke all on function unstuck_private.count_stuck from public, anon, authenticated, service_role;
