-- Watches the app's receiver of the ends of jobs while there is one: bad while a message has waited
-- for it for an hour or longer, and for an hour after a message was given up. It counts up to 1,000
-- messages.
create or replace function unstuck_private.watched_receiver(p_now timestamptz)
returns table (subject text, code text, is_bad boolean, words text)
language sql
stable
set search_path = ''
as
$$
  select 'receiver', 'receiver_away', w.owed > 0,
    case
      when w.owed = 0 then 'Your receiver takes the ends of jobs.'
      else format('Your receiver has not taken the ends of %s jobs for an hour.', w.owed)
    end
  from (
    select count(*) as owed
    from (
      select
      from unstuck.messages_owed m
      where m.kind = 'job_end'
        and m.sent_at is null
        and m.given_up_at is null
        and m.created_at <= p_now - interval '1 hour'
      limit 1000
    ) o
  ) w
  where unstuck_private.is_receiver_there()
  union all
  select 'receiver:given_up', 'ends_given_up', w.lost > 0,
    case
      when w.lost = 0 then 'The end of no job was given up within an hour.'
      else format(
        'The ends of %s jobs were given up: your receiver did not take them for a day.', w.lost)
    end
  from (
    select count(*) as lost
    from (
      select
      from unstuck.messages_owed m
      where m.kind = 'job_end'
        and m.sent_at is null
        and m.given_up_at > p_now - interval '1 hour'
        and m.created_at > p_now - interval '2 days'
      limit 1000
    ) o
  ) w
  where unstuck_private.is_receiver_there()
$$;

revoke all on function unstuck_private.watched_receiver
from public, anon, authenticated, service_role;
