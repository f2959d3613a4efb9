create view unstuck.provider_outcomes
with (security_invoker = true) as
select o.provider, o.tool, o.completed, o.failed, o.p50_seconds, o.p95_seconds
from unstuck_private.visible_outcomes() o;

comment on view unstuck.provider_outcomes is $c$
How the steps of the last 24 hours ended, and how long the completed ones took at the provider: a
row per provider and tool, and one per provider whose tool is null. For the service and admins.
$c$;

revoke all on unstuck.provider_outcomes from public, anon, authenticated, service_role;
grant select on unstuck.provider_outcomes to authenticated, service_role;
