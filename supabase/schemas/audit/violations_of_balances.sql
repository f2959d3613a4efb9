-- Returns the users among these whose balance is not the sum of their entries; no row where an
-- adapter holds the balances.
create or replace function unstuck_private.violations_of_balances(p_users uuid[])
returns table (invariant text, user_id uuid, detail text)
language sql
stable
as
$$
  select 'balance_equals_entries', n.id,
    case when a.user_id is null
      then format('no account, entries %s', t.total)
      else format('balance %s, entries %s', a.balance, t.total)
    end
  from unnest(p_users) as n (id)
  left join unstuck.credit_accounts a on a.user_id = n.id
  cross join lateral (
    select count(*) as entries, coalesce(sum(e.amount), 0) as total
    from unstuck.credit_entries e
    where e.user_id = n.id
  ) t
  where case when a.user_id is null then t.entries > 0 else a.balance <> t.total end
    and not unstuck_private.has_adapter()
$$;

revoke all on function unstuck_private.violations_of_balances
from public, anon, authenticated, service_role;
