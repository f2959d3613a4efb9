create or replace function unstuck.queue_check_v1(p_provider text)
returns table (
  max_concurrent int,
  running int,
  slots_available int,
  total_queued int,
  queued_by_tool jsonb,
  oldest_queued_seconds int,
  last_sweep_at timestamptz,
  enabled boolean
)
language sql
stable
security definer
set search_path = ''
as
$$
  with live as (
    select count(*)::int as running
    from unstuck.job_steps s
    where s.provider = p_provider
      and unstuck_private.holds_slot(s)
  ),
  waiting as (
    select
      j.tool,
      count(*)::int as jobs,
      min(coalesce(j.queued_at, j.created_at)) as since
    from unstuck.jobs j
    join unstuck.tools t using (tool)
    where t.provider = p_provider
      and j.status = 'queued'
      and j.quarantined_at is null
    group by j.tool
  )
  select
    p.max_concurrent,
    l.running,
    greatest(unstuck_private.slot_limit(p, clock_timestamp()) - l.running, 0),
    coalesce(w.total, 0),
    coalesce(w.by_tool, '{}'),
    unstuck_private.seconds_between(w.since, clock_timestamp()),
    (select max(s.finished_at) from unstuck.sweeps s),
    p.enabled and coalesce(p.circuit_open_until <= clock_timestamp(), true)
  from unstuck.providers p
  cross join live l
  cross join (
    select
      sum(jobs)::int as total,
      jsonb_object_agg(tool, jobs) as by_tool,
      min(since) as since
    from waiting
  ) w
  where p.provider = p_provider
$$;

comment on function unstuck.queue_check_v1 is $c$
Caller: the check and status endpoints.

Effect: none; one row for a known provider: its limit, how many slots are taken, how many jobs wait.
slots_available: by what the provider takes, where it refused more for capacity.
enabled: false also while an open circuit of the provider lets no step through.

Refuses: nothing; no row where there is no such provider.

Replay: reads again.
$c$;

revoke all on function unstuck.queue_check_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.queue_check_v1 to service_role;
