-- Returns the longest that a job of this tool may live: the queue TTL and the run time of each step
-- that must run in sequence, times the attempts of a synchronous provider.
create or replace function unstuck_private.tool_lifetime(
  p_tool unstuck.tools,
  p_provider unstuck.providers,
  p_steps int
)
returns interval
language sql
immutable
as
$$
  select
    p_tool.queue_ttl
    + p_tool.run_timeout
      * (case p_tool.step_order when 'sequential' then greatest(p_steps, 1) else 1 end)
      * (case when p_provider.synchronous then p_tool.attempt_max else 1 end)
$$;

revoke all on function unstuck_private.tool_lifetime from public, anon, authenticated, service_role;
