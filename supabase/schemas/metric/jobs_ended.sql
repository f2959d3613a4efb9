-- The jobs that ended after p_from and up to p_to. A job is written when it ends, and hardly ever
-- after that, so that the index by the last change finds them. It sets nothing, so that it becomes
-- part of its caller's query: a page of a long backlog is not all of it.
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
