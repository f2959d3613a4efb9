create or replace function unstuck.webhook_applied_v1(p_inbox_id bigint)
returns table (applied boolean)
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();
  update unstuck.webhook_inbox w set
    applied_at = coalesce(w.applied_at, clock_timestamp())
  where w.id = p_inbox_id
  returning true
$$;

comment on function unstuck.webhook_applied_v1 is $c$
Caller: whoever settled a step after its webhook: the background of the webhook's request, or the
queue's consumer.

Effect: marks the webhook as applied.

Refuses: nothing; no row where there is no such webhook.

Replay: keeps the first time.
$c$;

revoke all on function unstuck.webhook_applied_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.webhook_applied_v1 to service_role;
