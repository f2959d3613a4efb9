-- Returns what one purchase has given and not taken back, in credits: the sum of its entries less
-- its open debts, of all users or of `p_user_id` alone. `p_ids` are the purchase's own id and those
-- of the purchases that were joined to it.
create or replace function unstuck_private.purchase_given(p_ids uuid[], p_user_id uuid)
returns bigint
language sql
stable
as
$$
  select (
    coalesce((
      select sum(e.amount)
      from unstuck.credit_entries e
      where e.purchase_id = any (p_ids)
        and e.user_id = coalesce(p_user_id, e.user_id)
    ), 0)
    - coalesce((
      select sum(d.amount - d.settled)
      from unstuck.credit_debts d
      where d.purchase_id = any (p_ids)
        and d.user_id = coalesce(p_user_id, d.user_id)
    ), 0)
  )::bigint
$$;

revoke all on function unstuck_private.purchase_given
from public, anon, authenticated, service_role;
