-- A row per offence against DATA's invariants, for the service and admins; empty is healthy.
create view unstuck.invariant_violations
with (security_invoker = true) as
select v.invariant, v.subject, v.detail
from unstuck_private.visible_violations() v;

revoke all on unstuck.invariant_violations from public, anon, authenticated, service_role;
grant select on unstuck.invariant_violations to authenticated, service_role;
