-- Returns the position of a queued job in its provider's queue, and in how many seconds, at least
-- 1, it will start; no row for any other job.
--
-- It counts the steps before the job in an index, and reads the whole queue only where the job's
-- turn has not come or its tool's circuit is open. The wait is computed from all the work before
-- the job and may be wrong by the duration of one job.
create or replace function unstuck_private.job_position(p_job_id uuid)
returns table ("position" int, eta_seconds int)
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_step unstuck.job_steps;
  v_position bigint;
  v_seconds numeric;
  v_times unstuck_private.tool_time[];
begin
  select s.*
  into v_step
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  where s.job_id = p_job_id
    and s.status = 'queued'
    and j.status = 'queued'
  order by s.step
  limit 1;
  if not found then
    return;
  end if;
  v_times := unstuck_private.tool_times(v_step.provider);
  select sum(a.jobs), sum(a.steps * coalesce(t.seconds, 60))
  into v_position, v_seconds
  from unstuck_private.steps_ahead(v_step, v_now) a
  left join unnest(v_times) t on t.tool = a.tool;
  return query
  select
    coalesce(v_position, 0)::int + 1,
    least(
      ceil(
        greatest(
          unstuck_private.seconds_until_work_done(
            v_step.provider, v_times, coalesce(v_seconds, 0)),
          unstuck_private.seconds_between(
            v_now, greatest(v_step.not_before, u.circuit_open_until, p.circuit_open_until)
          ),
          1
        )
      ),
      2147483647
    )::int
  from unstuck.tools u
  cross join unstuck.providers p
  where u.tool = v_step.line_tool
    and p.provider = v_step.provider;
end $$;

revoke all on function unstuck_private.job_position from public, anon, authenticated, service_role;
