create or replace function unstuck.webhook_applied_v1(p_inbox_id bigint)
returns table (applied boolean)
language sql
security definer
set search_path = ''
as
$$ update unstuck.webhook_inbox set applied_at = coalesce(applied_at, clock_timestamp()) where id = p_inbox_id returning true $$;

comment on function unstuck.webhook_applied_v1 is $c$
Caller: the webhook consumer. Marks an inbox row as dealt with.
$c$;

revoke all on function unstuck.webhook_applied_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.webhook_applied_v1 to service_role;
