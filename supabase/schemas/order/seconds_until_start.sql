-- Returns in how many seconds an order of this tool would start if it were made now, for a quote.
-- The steps that wait for the provider go before it. It computes the wait as `job_position` does
-- for a queued job.
create or replace function unstuck_private.seconds_until_start(p_tool unstuck.tools) returns int
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_times unstuck_private.tool_time[] := unstuck_private.tool_times(p_tool.provider);
  v_next unstuck.job_steps;
  v_seconds numeric;
begin
  -- The last of those whose turn has come.
  v_next.provider := p_tool.provider;
  v_next.line_tool := p_tool.tool;
  v_next.turn_at := v_now;
  v_next.job_id := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  v_next.step := 1;
  select sum(a.steps * coalesce(t.seconds, 60))
  into v_seconds
  from unstuck_private.steps_ahead(v_next, v_now) a
  left join unnest(v_times) t on t.tool = a.tool;
  return (
    select least(
      ceil(
        greatest(
          unstuck_private.seconds_until_work_done(
            p_tool.provider, v_times, coalesce(v_seconds, 0)),
          unstuck_private.seconds_between(
            v_now, greatest(p_tool.circuit_open_until, p.circuit_open_until)),
          0
        )
      ),
      2147483647
    )::int
    from unstuck.providers p
    where p.provider = p_tool.provider
  );
end $$;

revoke all on function unstuck_private.seconds_until_start
from public, anon, authenticated, service_role;
