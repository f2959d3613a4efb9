-- Deletes the jobs that were kept of an erased user for the cancel at the provider. Where no cancel
-- is owed, that is an hour after the erasure, because a worker may have been about to learn a task;
-- otherwise at `p_before`, because by then the task has ended by itself.
create or replace function unstuck_private.prune_erased_jobs(
  p_now timestamptz,
  p_before timestamptz,
  p_limit int,
  p_skip int
)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_ids uuid[];
begin
  v_ids := array(
    select o.id
    from unstuck.jobs o
    where o.user_id = unstuck_private.erased_user()
      and unstuck_private.is_final(o.status)
      and (
        o.updated_at < p_before
        or o.updated_at < p_now - interval '1 hour'
        and not exists (
          select from unstuck.job_steps s
          where s.job_id = o.id and s.provider_cancel_due <> '[]'
        )
      )
      and not exists (select from unstuck.jobs r where r.retry_of = o.id)
    order by o.updated_at
    limit p_limit
    offset p_skip
    for update of o skip locked
  );
  delete from unstuck.job_events e
  where e.job_id = any (v_ids);
  delete from unstuck.webhook_inbox w
  where w.job_id = any (v_ids);
  delete from unstuck.jobs j
  where j.id = any (v_ids);
  return cardinality(v_ids);
end $$;

revoke all on function unstuck_private.prune_erased_jobs
from public, anon, authenticated, service_role;
