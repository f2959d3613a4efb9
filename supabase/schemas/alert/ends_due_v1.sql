create or replace function unstuck.ends_due_v1(p_limit int default 16)
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
  perform unstuck_private.healer_mark('receiver', v_now);
  update unstuck.messages_owed m
  set given_up_at = v_now
  where m.id = any (array(
    select o.id
    from unstuck.messages_owed o
    where o.kind = 'job_end'
      and o.sent_at is null
      and o.given_up_at is null
      and o.created_at <= v_now - interval '1 day'
    limit 1000
    for update skip locked
  ));
  return query
  with claimed as (
    update unstuck.messages_owed m
    set tries = m.tries + 1,
      due_at = v_now + interval '1 minute'
    where m.id = any (array(
      select o.id
      from unstuck.messages_owed o
      where o.kind = 'job_end'
        and o.sent_at is null
        and o.given_up_at is null
        and o.due_at <= v_now
      order by o.due_at
      limit least(greatest(p_limit, 1), 100)
      for update skip locked
    ))
    returning m.id, m.body, m.created_at
  )
  select c.id, c.body
  from claimed c
  order by c.created_at, c.id;
end $$;

comment on function unstuck.ends_due_v1 is $c$
Caller: each scheduled function after its work, where the app has a receiver of the ends of its
jobs. From the first call on, each end is owed to it.

Effect: gives up what nobody took for a day, and returns the messages that are due, the oldest
first, each to one caller for a minute.

Refuses: nothing.

Replay: what was returned a minute ago and is not reported by message_sent_v1 is returned once more.
$c$;

revoke all on function unstuck.ends_due_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.ends_due_v1 to service_role;
