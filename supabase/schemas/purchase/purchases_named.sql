-- Returns the purchases of this seller that have one of these keys, the oldest first.
create or replace function unstuck_private.purchases_named(p_seller text, p_keys text[])
returns uuid[]
language sql
stable
as
$$
  select array(
    select p.id
    from unstuck.purchases p
    where p.seller = p_seller
      and p.keys && p_keys
    order by p.created_at, p.id
  )
$$;

revoke all on function unstuck_private.purchases_named
from public, anon, authenticated, service_role;
