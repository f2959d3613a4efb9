create view unstuck.provider_errors
with (security_invoker = true) as
select
  f.provider,
  f.error_code,
  f.failures,
  f.last_at,
  f.last_job_id,
  f.last_message
from unstuck_private.visible_errors() f;

comment on view unstuck.provider_errors is $c$
Why steps failed in the last 24 hours: a row per provider and code, with how often and the newest of
them. For the service and admins.
$c$;

revoke all on unstuck.provider_errors from public, anon, authenticated, service_role;
grant select on unstuck.provider_errors to authenticated, service_role;
