create or replace function unstuck.alerts_due_v1(
  p_quiet_from int default null,
  p_quiet_to int default null,
  p_repeat_minutes int default null,
  p_limit int default 10
)
returns table (id uuid, body jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.alerts_owe(
    'alerts',
    v_now,
    unstuck_private.quiet_until(v_now, p_quiet_from, p_quiet_to),
    nullif(p_repeat_minutes, 0) * interval '1 minute'
  );
  return query
  update unstuck.messages_owed m
  set tries = m.tries + 1,
    due_at = v_now + interval '1 minute'
  where m.id = any (array(
    select o.id
    from unstuck.messages_owed o
    where o.sent_at is null
      and o.due_at <= v_now
      and o.kind = 'alert'
    order by o.due_at
    limit least(greatest(p_limit, 1), 100)
    for update skip locked
  ))
  returning m.id, m.body;
end $$;

comment on function unstuck.alerts_due_v1 is $c$
Caller: each scheduled function after its work, and the gateway when health is asked, where a
receiver of alerts is set.

Effect: owes a message for whatever turned bad, or good again, since the receiver was told, and
returns the messages that are due, each to one caller for a minute. In quiet hours (UTC, from and to
a full hour) messages wait for their end; what stays bad is told every p_repeat_minutes, or once.

Refuses: nothing.

Replay: what was returned a minute ago and is not reported by message_sent_v1 is returned once more.
$c$;

revoke all on function unstuck.alerts_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.alerts_due_v1 to service_role;
