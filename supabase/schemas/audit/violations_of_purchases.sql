-- Returns the purchases of these users whose entries, less the open debts, are not what is due of
-- them. Purchases that wait are left out.
create or replace function unstuck_private.violations_of_purchases(p_users uuid[])
returns table (invariant text, purchase_id uuid, user_id uuid, detail text)
language sql
stable
as
$$
  select 'purchase_equals_entries', p.id, p.user_id,
    format('due %s, given %s', d.granted - d.taken, g.given)
  from unnest(p_users) as n (id)
  join unstuck.purchases p on p.user_id = n.id
  cross join lateral unstuck_private.purchase_due(p.facts) d
  cross join lateral unstuck_private.purchase_given(p.ids, null) as g (given)
  where not p.waits
    and p.user_id <> unstuck_private.erased_user()
    and d.granted - d.taken <> g.given
$$;

revoke all on function unstuck_private.violations_of_purchases
from public, anon, authenticated, service_role;
