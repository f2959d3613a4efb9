-- What these purchases, which are one, gave and did not take back: the sum of their entries, less
-- what is owed of them. Of one user only, where p_user_id names one.
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
