-- Returns the longest that a job of this tool with `p_steps` steps may live (`tool_lifetime`).
create or replace function unstuck_private.job_lifetime(p_tool text, p_steps int) returns interval
language plpgsql
stable
set search_path = ''
as
$$
begin
  return (
    select unstuck_private.tool_lifetime(t, p, p_steps)
    from unstuck.tools t
    join unstuck.providers p using (provider)
    where t.tool = p_tool
  );
end $$;

revoke all on function unstuck_private.job_lifetime from public, anon, authenticated, service_role;
