-- Everything that is watched, and how it is now, in words for an operator. It reads what sweeps
-- have stored and scans nothing, so that health and alerts may ask as often as they like.
create or replace function unstuck_private.watched(p_now timestamptz)
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
    end as is_bad
  ) h
  where m.healer in ('edge', 'sql', 'queues')
  union all
  select 'stuck', 'stuck', s.stuck is distinct from 0,
    case
      when s.stuck is null then 'Stuck jobs could not be counted.'
      when s.stuck = 0 then 'No job is stuck.'
      else format('%s jobs are past the deadline of every healer.', s.stuck)
    end
  from unstuck_private.sweep_newest() s
  union all
  select 'invariants', 'invariants', s.violations is distinct from 0,
    case
      when s.violations is null then 'The invariants could not be checked.'
      when s.violations = 0 then 'All invariants hold.'
      else format('%s invariants are violated.', s.violations)
    end
  from unstuck_private.sweep_newest() s
  union all
  select 'provider:' || f.provider || ':failures', 'provider_failing', f.is_bad,
    format('%s: %s of %s steps failed within 15 minutes.', f.provider, f.failed, f.ended)
  from unstuck_private.provider_failures(p_now) f
  union all
  select 'provider:' || f.provider || ':webhooks', 'webhook_overdue', f.is_webhook_overdue,
    case
      when f.is_webhook_overdue then format(
        '%s: %s steps ended within 15 minutes, and no webhook came%s.',
        f.provider,
        f.ended,
        case
          when f.webhook_at is null then ''
          else ' for ' || unstuck_private.minutes_text(
            unstuck_private.minutes_between(f.webhook_at, p_now))
        end)
      else format('%s: no webhook is overdue.', f.provider)
    end
  from unstuck_private.provider_failures(p_now) f
  union all
  select 'provider:' || p.provider || ':alarm', 'provider_alarm', a.code is not null,
    case
      when a.code is null then format('%s: nothing was refused that only you can mend.', p.provider)
      else format('%s refused what only you can mend: %s', p.provider, a.code)
    end
  from unstuck.providers p
  left join lateral (
    select x.code
    from unstuck.provider_alarms x
    where x.provider = p.provider
      and x.at > p_now - interval '75 minutes'
      and x.last_at > p_now - interval '15 minutes'
    order by x.last_at desc
    limit 1
  ) a on true
$$;

revoke all on function unstuck_private.watched from public, anon, authenticated, service_role;
