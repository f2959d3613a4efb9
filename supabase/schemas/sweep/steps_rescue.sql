-- Requeues up to `p_limit` steps whose lease ended and that `can_requeue` allows, of jobs that no
-- other transaction has locked, of one user only if `p_user_id` is given. Returns how many.
create or replace function unstuck_private.steps_rescue(
  p_now timestamptz,
  p_user_id uuid,
  p_limit int
)
returns int
language plpgsql
set search_path = ''
as
$$
declare
  v_jobs uuid[];
begin
  v_jobs := array(
    select s.job_id
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    join unstuck.tools t using (tool)
    join unstuck.providers p on p.provider = s.provider
    where s.status in ('starting', 'running')
      and s.lease_until <= p_now
      and unstuck_private.can_requeue(s, t, p)
      and j.expires_at > p_now
      and j.quarantined_at is null
      and (p_user_id is null or j.user_id = p_user_id)
    order by s.lease_until, s.job_id
    limit p_limit
  );
  return unstuck_private.steps_requeue(p_now, unstuck_private.jobs_try_lock(v_jobs));
end $$;

revoke all on function unstuck_private.steps_rescue from public, anon, authenticated, service_role;
