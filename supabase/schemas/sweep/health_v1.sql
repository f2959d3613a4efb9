create or replace function unstuck.health_v1()
returns table (last_sweep_seconds int, stuck int, violations int)
language sql
stable
security definer
set search_path = ''
as
$$
  select extract(epoch from clock_timestamp() - s.finished_at)::int, s.stuck, s.violations
  from (select 1) one
  left join lateral (
    select *
    from unstuck.sweeps
    where finished_at is not null
    order by finished_at desc
    limit 1
  ) s on true
$$;

comment on function unstuck.health_v1 is $c$
Caller: health of the gateway.

What the last finished sweep stored; never scans. Nulls when there was none.
$c$;

revoke all on function unstuck.health_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.health_v1 to service_role;
