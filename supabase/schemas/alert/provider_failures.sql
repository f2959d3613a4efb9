-- Returns for each provider how many of its steps ended and how many of those failed in the last 15
-- minutes, as the sweeps have counted them (`ended_by_minute`). `is_bad`: at least 20 steps ended,
-- and more than half of them failed. `webhook_at`: when its last webhook came.
-- `is_webhook_overdue`: at least five steps of an asynchronous provider were completed in these 15
-- minutes, and no webhook came.
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
