create or replace function unstuck.health_v1()
returns table (last_sweep_seconds int, stuck int, violations int, wrong_deployment boolean)
language sql
stable
security definer
set search_path = ''
as
$$
  select unstuck_private.seconds_between(s.finished_at, clock_timestamp()), s.stuck, s.violations,
    unstuck_private.is_deployment_wrong(clock_timestamp())
  from (select 1) one
  left join unstuck_private.sweep_newest() s on true
$$;

comment on function unstuck.health_v1 is $c$
Caller: the gateway of the release before, for /health.

Effect: none; what the last finished pass of a healer stored. It never scans. Nulls where there was
none, or where that pass could not count. wrong_deployment: the caller is of another deployment than
the database, or a Worker of another one was refused in the last ten minutes.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.health_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.health_v1 to service_role;
