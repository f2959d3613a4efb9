-- Returns which part of the payment `p_whole` the amount is, from 0 to 1. An amount of 0 is no
-- part; where one of the two is unknown, it is the whole payment.
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
