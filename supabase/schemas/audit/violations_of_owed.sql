-- The refunds that are owed for longer than an hour.
create or replace function unstuck_private.violations_of_owed()
returns table (invariant text, subject text, detail text)
language sql
stable
as
$$
  select 'refund_owed', o.job_id::text,
    format('%s owed since %s, tried %s times: %s', o.amount, o.at, o.tries, o.error)
  from unstuck.refunds_owed o
  where o.at < clock_timestamp() - interval '1 hour'
$$;

revoke all on function unstuck_private.violations_of_owed
from public, anon, authenticated, service_role;
