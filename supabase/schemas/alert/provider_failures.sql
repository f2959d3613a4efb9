-- How the steps of each provider ended within 15 minutes, as the sweeps counted them, and whether
-- that is bad: more than half of at least twenty failed. Webhooks are overdue where five steps of
-- an asynchronous provider ended and none came.
create or replace function unstuck_private.provider_failures(p_now timestamptz)
returns table (
  provider text,
  ended bigint,
  failed bigint,
  is_bad boolean,
  webhook_at timestamptz,
  is_webhook_overdue boolean
)
language sql
stable
set search_path = ''
as
$$
  select p.provider, e.ended, e.failed, e.ended >= 20 and e.failed * 2 > e.ended, m.seen_at,
    not p.synchronous
      and e.done >= 5
      and coalesce(m.seen_at < p_now - interval '15 minutes', true)
  from unstuck.providers p
  cross join lateral (
    select
      coalesce(sum(b.done + b.failed), 0)::bigint as ended,
      coalesce(sum(b.done), 0)::bigint as done,
      coalesce(sum(b.failed), 0)::bigint as failed
    from unstuck_private.ended_by_minute b
    where b.provider = p.provider and b.minute > p_now - interval '15 minutes'
  ) e
  left join unstuck_private.healer_marks m on m.healer = 'webhook:' || p.provider
$$;

revoke all on function unstuck_private.provider_failures
from public, anon, authenticated, service_role;
