-- Returns the jobs that ended after `p_from` and up to `p_to`. A job is hardly ever written after
-- its end, so the index by `updated_at` finds them. The function has no settings, so that the
-- planner inlines it and a caller with a limit does not read a whole backlog.
create or replace function unstuck_private.jobs_ended(p_from timestamptz, p_to timestamptz)
returns setof unstuck.jobs
language sql
stable
as
$$
  select *
  from unstuck.jobs j
  where j.updated_at > p_from - interval '1 minute'
    and j.completed_at > p_from
    and j.completed_at <= p_to
$$;

revoke all on function unstuck_private.jobs_ended from public, anon, authenticated, service_role;
