-- The fixed intervals. Tests replace this one function instead of sleeping.
create or replace function unstuck_private.intervals()
returns table (orphan interval, grace interval, sql_wait interval, lease interval, check_every interval)
language sql
stable
as
$$ select interval '2 minutes', interval '2 minutes', interval '3 minutes', interval '90 seconds', interval '30 seconds' $$;

revoke all on function unstuck_private.intervals from public, anon, authenticated, service_role;
