create view unstuck.queue_positions
with (security_invoker = true) as
select s.job_id, s.provider, s."position", s.eta_seconds
from unstuck_private.visible_positions() s;

comment on view unstuck.queue_positions is $c$
The position of each waiting job and the seconds until it starts; for the service and admins.
$c$;

revoke all on unstuck.queue_positions from public, anon, authenticated, service_role;
grant select on unstuck.queue_positions to authenticated, service_role;
