-- Returns the cursor of a job in its user's list: 16 hexadecimal digits of the time when it was
-- created, in microseconds since 1970, and 32 of its id. `jobs_list_v1` continues after it.
create or replace function unstuck_private.list_cursor(p_job unstuck.jobs) returns text
language sql
immutable
as
$$
  select lpad(to_hex((extract(epoch from p_job.created_at) * 1000000)::bigint), 16, '0')
    || replace(p_job.id::text, '-', '')
$$;

revoke all on function unstuck_private.list_cursor from public, anon, authenticated, service_role;
