create or replace function unstuck.event_seen_v1(p_function text, p_event text)
returns void
language sql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  select unstuck_private.refuse_other_deployment();

  insert into unstuck_private.events_seen as e (function, event)
  values (p_function, p_event)
  on conflict (function, event) do update
  set at = clock_timestamp();

  select unstuck_private.healer_mark('queues', clock_timestamp())
  where p_event = 'queue';
$$;

comment on function unstuck.event_seen_v1 is $c$
Caller: every function, when its cron fires, and when its queue brings a probe: of the doctor, or of
a sweep that sweep_end_v1 asked for it.

Effect: the time of the newest such event is now. An event of a queue shows in health.

Refuses: the Worker of another deployment, and an event that is none of `events_seen`.

Replay: the same once more.
$c$;

revoke all on function unstuck.event_seen_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.event_seen_v1 to service_role;
