create or replace function unstuck.metrics_v1()
returns table (name text, labels jsonb, value double precision)
language sql
stable
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  select c.name, c.labels, c.value::double precision
  from unstuck_private.counters c
  union all
  select g.name, g.labels, g.value
  from unstuck_private.gauges(clock_timestamp()) g
$$;

comment on function unstuck.metrics_v1 is $c$
Caller: the gateway, for /metrics.

Effect: none; the counters that the sweeps keep, and what is so now. It scans no job that has ended.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.metrics_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.metrics_v1 to service_role;
