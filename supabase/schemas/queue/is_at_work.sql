-- True while a step of the job is at work. The queue TTL of its queued steps is paused meanwhile.
create or replace function unstuck_private.is_at_work(p_job_id uuid) returns boolean
language sql
stable
set search_path = ''
as
$$
  select exists (
    select from unstuck.job_steps s
    where s.job_id = p_job_id
      and s.status in ('starting', 'running')
  )
$$;

revoke all on function unstuck_private.is_at_work from public, anon, authenticated, service_role;
