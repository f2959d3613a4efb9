-- Which part of a payment an amount is, at most all of it. All, where it is not known how much one
-- of the two is.
create or replace function unstuck_private.purchase_part(p_amount numeric, p_whole numeric)
returns numeric
language sql
immutable
as
$$
  select case when p_amount = 0 then 0 else coalesce(least(p_amount / p_whole, 1), 1) end
$$;

revoke all on function unstuck_private.purchase_part
from public, anon, authenticated, service_role;
