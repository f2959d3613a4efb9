-- Watches the failures and the webhooks of each provider, as `provider_failures` judges them, and
-- its alarms: bad when one came in the last 15 minutes.
create or replace function unstuck_private.watched_providers(p_now timestamptz)
returns table (subject text, code text, is_bad boolean, words text)
language sql
stable
set search_path = ''
as
$$
  select 'provider:' || f.provider || v.subject, v.code, v.is_bad, v.words
  from unstuck_private.provider_failures(p_now) f
  cross join lateral (
    values
      (
        ':failures',
        'provider_failing',
        f.is_bad,
        format('%s: %s of %s steps failed within 15 minutes.', f.provider, f.failed, f.ended)
      ),
      (
        ':webhooks',
        'webhook_overdue',
        f.is_webhook_overdue,
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
      )
  ) as v (subject, code, is_bad, words)
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

revoke all on function unstuck_private.watched_providers
from public, anon, authenticated, service_role;
