-- The fixed intervals. Tests replace this one function in place of waiting.
create or replace function unstuck_private.intervals()
returns table (
  -- How long an unpaid row that an older client inserted waits for its `/run`.
  orphan interval,
  -- How long an edge healer waits past a deadline for a provider that does not answer.
  grace interval,
  -- How long SQL waits past a deadline for an edge healer, which can query the provider.
  sql_wait interval,
  -- How long a worker keeps a step without renewing its lease.
  lease interval,
  -- How often a running step of a provider without signed webhooks is queried.
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
