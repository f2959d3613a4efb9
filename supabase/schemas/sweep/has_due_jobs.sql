-- True when a sweep of the user's live jobs may find something to heal. It is cheaper than to plan
-- that sweep, and most users who ask have nothing to heal. Where it fails on a row it returns true,
-- and the sweep finds the row.
create or replace function unstuck_private.has_due_jobs(p_user_id uuid, p_now timestamptz)
returns boolean
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
-- However few jobs the statistics know, they are read by their index.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as
$$
begin
  return exists (
    select from unstuck.jobs j
    join unstuck.tools t using (tool)
    join unstuck.providers p using (provider)
    where j.user_id = p_user_id
      and unstuck_private.is_live(j.status)
      and j.quarantined_at is null
      and (
        j.deadline_at <= p_now
        or coalesce(j.started_at, j.created_at) <= p_now - unstuck_private.lifetime_limit(
          t,
          p,
          j.total_steps,
          (
            select count(*)
            from unstuck.job_steps s
            where s.job_id = j.id
          )
        )
        or unstuck_private.is_left(j, p_now)
        or exists (
          select from unstuck.job_steps s
          where s.job_id = j.id
            and s.status in ('starting', 'running')
            and s.lease_until <= p_now
        )
      )
  );
exception when others then
  return true;
end $$;

revoke all on function unstuck_private.has_due_jobs from public, anon, authenticated, service_role;
