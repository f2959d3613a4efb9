-- Returns the rows of the view `tool_costs` to those who may see the rows of all users (`may_see`);
-- nobody else gets a row.
create or replace function unstuck_private.visible_costs()
returns table (tool text, provider_cost numeric, attempts bigint, cost numeric)
language sql
stable
security definer
set search_path = ''
as
$$
  select t.tool, t.provider_cost, coalesce(sum(d.attempts), 0)::bigint, coalesce(sum(d.cost), 0)
  from unstuck.tools t
  left join unstuck_private.costs_by_day d
    on d.tool = t.tool
    and d.day >= (clock_timestamp() at time zone 'UTC')::date - 61
  where (select unstuck_private.may_see(null))
  group by t.tool
$$;

revoke all on function unstuck_private.visible_costs from public, anon, authenticated, service_role;
grant execute on function unstuck_private.visible_costs to authenticated, service_role;
