-- True for a job that its own user, who asks, may not end: a provider works on it, and its tool
-- does not allow that. An admin may.
create or replace function unstuck_private.is_own_at_work(p_job_id uuid) returns boolean
language sql
stable
set search_path = ''
as
$$
  select exists (
    select
    from unstuck.jobs j
    join unstuck.tools t using (tool)
    where j.id = p_job_id
      and j.user_id = auth.uid()
      and j.status in ('starting', 'running')
      and not t.user_cancel_running
  )
    and not unstuck_private.is_admin()
$$;

revoke all on function unstuck_private.is_own_at_work
from public, anon, authenticated, service_role;
