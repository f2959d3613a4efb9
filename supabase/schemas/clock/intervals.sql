-- The fixed intervals. Tests replace this one function instead of sleeping.
create or replace function unstuck_private.intervals()
returns table (
  -- How long an unpaid row of an older client waits for its `/run`.
  orphan interval,
  -- How long a sweep waits past a deadline for a provider that does not answer.
  grace interval,
  -- How long SQL waits past a deadline for an edge healer, which can ask the provider.
  sql_wait interval,
  -- How long a worker holds a step without a heartbeat.
  lease interval,
  -- How often a running step of a provider without signed webhooks is asked about.
  check_every interval
)
language sql
stable
as
$$
  select
    interval '2 minutes',
    interval '2 minutes',
    interval '3 minutes',
    interval '90 seconds',
    interval '30 seconds'
$$;

revoke all on function unstuck_private.intervals from public, anon, authenticated, service_role;
