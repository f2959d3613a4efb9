-- Returns the refunds that have been owed for more than an hour, and the tables of the app to which
-- rows have been owed for as long.
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
  union all
  select 'projection_owed', e.host_table::text,
    format('%s jobs are not written since %s: %s', count(*), min(e.at), max(e.error))
  from unstuck.projection_errors e
  where e.mended_at is null
    and e.at < clock_timestamp() - interval '1 hour'
  group by e.host_table
$$;

revoke all on function unstuck_private.violations_of_owed
from public, anon, authenticated, service_role;
