-- Watches our account at each provider that reports its balance and for which the operator has said
-- how much is enough (`providers.balance_least`): bad while less than that is left of any unit.
create or replace function unstuck_private.watched_balances()
returns table (subject text, code text, is_bad boolean, words text)
language sql
stable
set search_path = ''
as
$$
  select 'provider:' || p.provider || ':balance', 'provider_balance_low', l.units is not null,
    case
      when l.units is null then format('%s: enough is left on our account.', p.provider)
      else format('%s: our account runs low: %s.', p.provider, l.units)
    end
  from unstuck.providers p
  join unstuck_private.provider_balances b using (provider)
  cross join lateral (
    select string_agg(
      format('%s %s, less than %s', b.amounts ->> u.unit, u.unit, u.least),
      '; '
      order by u.unit
    ) as units
    from jsonb_each_text(p.balance_least) as u (unit, least)
    where unstuck_private.number_or_null(b.amounts ->> u.unit)
      < unstuck_private.number_or_null(u.least)
  ) l
  where p.balance_least <> '{}'
$$;

revoke all on function unstuck_private.watched_balances
from public, anon, authenticated, service_role;
