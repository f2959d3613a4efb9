-- Returns the longest that a job may live: `tool_lifetime` for its `p_total_steps` steps, or the
-- `run_timeout` of its tool if it has no row of a step (`p_steps` is 0). It is at most a century,
-- because more cannot be subtracted from every time. It fixes no search_path, so that the planner
-- inlines it.
create or replace function unstuck_private.lifetime_limit(
  p_tool unstuck.tools,
  p_provider unstuck.providers,
  p_total_steps int,
  p_steps bigint
)
returns interval
language sql
immutable
as
$$
  select least(
    case
      when p_steps = 0 then p_tool.run_timeout
      else unstuck_private.tool_lifetime(p_tool, p_provider, p_total_steps)
    end,
    interval '100 years'
  )
$$;

revoke all on function unstuck_private.lifetime_limit
from public, anon, authenticated, service_role;
