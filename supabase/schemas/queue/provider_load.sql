create view unstuck.provider_load
with (security_invoker = true) as
select
  l.provider,
  l.enabled,
  l.max_concurrent,
  l.running,
  l.waiting,
  l.oldest_waiting_seconds,
  l.circuit_open_until,
  l.circuit_reason,
  l.circuits_of_tools,
  l.learned_limit,
  l.balance,
  l.balance_at,
  l.balance_least
from unstuck_private.visible_load() l;

comment on view unstuck.provider_load is $c$
Each provider's slots, as configured and as learned, its queue, open circuits, and what it last told
of our account there, for the admin page.
$c$;

revoke all on unstuck.provider_load from public, anon, authenticated, service_role;
grant select on unstuck.provider_load to authenticated, service_role;
