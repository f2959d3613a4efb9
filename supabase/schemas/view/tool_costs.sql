create view unstuck.tool_costs
with (security_invoker = true) as
select c.tool, c.provider_cost, c.attempts, c.cost
from unstuck_private.visible_costs() c;

comment on view unstuck.tool_costs is $c$
What an attempt of each tool costs at its provider, in credits (null: nobody has said), and the
attempts and costs of the steps that ended in the last 62 days of UTC, for the service and admins.
$c$;

revoke all on unstuck.tool_costs from public, anon, authenticated, service_role;
grant select on unstuck.tool_costs to authenticated, service_role;
