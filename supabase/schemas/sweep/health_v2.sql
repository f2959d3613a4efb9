create or replace function unstuck.health_v2()
returns table (
  last_sweep_seconds int,
  stuck int,
  violations int,
  edge_seconds int,
  sql_seconds int,
  queues_seconds int,
  degraded jsonb,
  wrong_deployment boolean
)
language sql
stable
security definer
set search_path = ''
as
$$
  select
    unstuck_private.seconds_between(s.finished_at, n.at),
    s.stuck,
    s.violations,
    unstuck_private.seconds_between(e.seen_at, n.at),
    unstuck_private.seconds_between(q.seen_at, n.at),
    unstuck_private.seconds_between(c.seen_at, n.at),
    (
      select coalesce(
        jsonb_agg(
          jsonb_build_object('code', w.code, 'subject', w.subject, 'message', w.words)
          order by w.subject),
        '[]')
      from unstuck_private.watched(n.at) w
      where w.is_bad
    ),
    unstuck_private.is_deployment_wrong(n.at)
  from (select clock_timestamp() as at) n
  left join unstuck_private.sweep_newest() s on true
  left join unstuck_private.healer_marks e on e.healer = 'edge'
  left join unstuck_private.healer_marks q on q.healer = 'sql'
  left join unstuck_private.healer_marks c on c.healer = 'queues'
$$;

comment on function unstuck.health_v2 is $c$
Caller: the gateway, for /health.

Effect: none; what the last finished pass of a healer stored, when each healer was seen, and what is
bad, in words. It never scans. Nulls where there was none, or where that pass could not count.
wrong_deployment: the caller is of another deployment than the database, or a Worker of another one
was refused in the last ten minutes.

Refuses: nothing.

Replay: reads again.
$c$;

revoke all on function unstuck.health_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.health_v2 to service_role;
