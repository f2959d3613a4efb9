create view unstuck.invariant_violations
with (security_invoker = true) as
select v.invariant, v.subject, v.detail
from unstuck_private.visible_violations() v;

comment on view unstuck.invariant_violations is $c$
One row per violation of an invariant; empty is healthy. For the service and admins.
$c$;

revoke all on unstuck.invariant_violations from public, anon, authenticated, service_role;
grant select on unstuck.invariant_violations to authenticated, service_role;
