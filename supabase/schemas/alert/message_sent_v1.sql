create or replace function unstuck.message_sent_v1(
  p_id uuid,
  p_is_taken boolean,
  p_delay_ms int default null
)
returns void
language sql
security definer
set search_path = ''
as
$$
  select unstuck_private.refuse_other_deployment();

  update unstuck.messages_owed m
  set sent_at = case when p_is_taken then clock_timestamp() end,
    due_at = case
      when p_is_taken then m.due_at
      else clock_timestamp() + least(
        greatest(
          coalesce(p_delay_ms, 0) * interval '1 millisecond',
          interval '15 seconds' * 2 ^ least(m.tries, 10)
        ),
        case m.kind when 'alert' then interval '5 minutes' else interval '1 hour' end
      )
    end
  where m.id = p_id
    and m.sent_at is null
$$;

comment on function unstuck.message_sent_v1 is $c$
Caller: whoever sent a message that alerts_due_v1 or ends_due_v1 returned.

Effect: a message that its receiver took is sent. Any other is due once more, later after each try,
an alert after five minutes at most, the end of a job after an hour; p_delay_ms is what the receiver
asks for.

Refuses: nothing.

Replay: a message that is sent stays so.
$c$;

revoke all on function unstuck.message_sent_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.message_sent_v1 to service_role;
