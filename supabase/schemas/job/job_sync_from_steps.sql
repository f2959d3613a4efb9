-- Derives the status, the current step, the deadline and the start of these live jobs from their
-- steps. Final states are written by `jobs_finalise`.
create or replace function unstuck_private.job_sync_from_steps(p_job_ids uuid[]) returns void
language plpgsql
set search_path = ''
-- Planning would cost more than the work on a few jobs.
set plan_cache_mode = force_generic_plan
as
$$
begin
  if cardinality(p_job_ids) > 10 then
    perform set_config('plan_cache_mode', 'force_custom_plan', true);
  end if;
  update unstuck.jobs j
  set status = s.status,
    current_step = s.current_step,
    deadline_at = least(coalesce(s.deadline_at, j.deadline_at), j.expires_at),
    started_at = case when s.worked then coalesce(j.started_at, s.started_at) end
  from (
    select st.job_id,
      case
        when bool_or(st.status in ('running', 'completed', 'failed')) then 'running'
        when bool_or(st.status = 'starting') then 'starting'
        else 'queued'
      end as status,
      count(*) filter (where st.status in ('completed', 'failed'))
        + (
          max(t.step_order) = 'sequential'
          and bool_or(st.status in ('starting', 'running'))
        )::int as current_step,
      coalesce(
        min(st.deadline_at) filter (where st.status in ('starting', 'running')),
        max(st.deadline_at) filter (where st.status = 'queued')
      ) as deadline_at,
      bool_or(st.started_at is not null or st.sent_at is not null) as worked,
      min(coalesce(st.started_at, st.sent_at)) as started_at
    from unstuck.job_steps st
    join unstuck.jobs jj on jj.id = st.job_id
    join unstuck.tools t using (tool)
    where st.job_id = any (p_job_ids)
    group by st.job_id
  ) s
  where j.id = s.job_id
    and unstuck_private.is_live(j.status);
end $$;

revoke all on function unstuck_private.job_sync_from_steps
from public, anon, authenticated, service_role;
