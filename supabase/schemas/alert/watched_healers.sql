-- Watches the healers. The sweep of the Workers and that of pg_cron are bad when they were not seen
-- for 150 seconds, the latter only where it is scheduled. The queues are bad when a probe was not
-- answered for ten minutes.
create or replace function unstuck_private.watched_healers(p_now timestamptz)
returns table (subject text, code text, is_bad boolean, words text)
language sql
stable
set search_path = ''
as
$$
  select 'healer:' || m.healer, 'healer_stopped', h.is_bad,
    case m.healer
      when 'edge' then 'The sweep of the Workers: '
      when 'sql' then 'The sweep of pg_cron: '
      else 'The consumers of the queues: '
    end
    || case
      when not h.is_bad then 'at work.'
      when m.seen_at is null then 'never seen.'
      else format(
        'last seen %s ago.',
        unstuck_private.minutes_text(unstuck_private.minutes_between(m.seen_at, p_now)))
    end
  from unstuck_private.healer_marks m
  cross join lateral (
    select case m.healer
      when 'queues' then coalesce(m.asked_at < p_now - interval '10 minutes', false)
      else coalesce(m.seen_at < p_now - interval '150 seconds', true)
        and (m.healer = 'edge' or unstuck_private.is_sql_scheduled())
    end as is_bad
  ) h
  where m.healer in ('edge', 'sql', 'queues')
$$;

revoke all on function unstuck_private.watched_healers
from public, anon, authenticated, service_role;
