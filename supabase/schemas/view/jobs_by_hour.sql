create view unstuck.jobs_by_hour
with (security_invoker = true) as
select
  h.hour,
  h.ordered,
  h.completed,
  h.failed,
  h.cancelled,
  h.credits_charged,
  h.credits_refunded
from unstuck_private.visible_hours() h;

comment on view unstuck.jobs_by_hour is $c$
The last 24 hours, one row each, for the admin page.
$c$;

revoke all on unstuck.jobs_by_hour from public, anon, authenticated, service_role;
grant select on unstuck.jobs_by_hour to authenticated, service_role;
