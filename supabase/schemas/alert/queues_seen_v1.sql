create or replace function unstuck.queues_seen_v1()
returns void
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.healer_mark('queues', clock_timestamp())
$$;

comment on function unstuck.queues_seen_v1 is $c$
Caller: the consumer of a queue, when a message reached it.

Effect: records that messages come through the queues; health tells their age.

Refuses: nothing.

Replay: records the later time.
$c$;

revoke all on function unstuck.queues_seen_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.queues_seen_v1 to service_role;
