-- Gives the user the credits that wait (`waiting_credits_give`), locks the wallet that pays for
-- this order, and returns the balance. Refuses with insufficient_credits while a debt is open, and
-- where the balance is less than the price, unless orders are free.
--
-- The caller has locked the user's row. It may have locked the job that the order adopts too,
-- against the lock order; that job is the user's own, and nobody who waits for it holds the wallet.
create or replace function unstuck_private.refuse_over_balance(
  p_user_id uuid,
  p_tool text,
  p_price bigint
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_balance bigint;
  v_unlimited boolean;
  v_debt bigint;
begin
  perform unstuck_private.waiting_credits_give(p_user_id);
  v_debt := unstuck_private.debt_open(p_user_id);
  select w.balance, w.unlimited
  into v_balance, v_unlimited
  from unstuck_private.wallet_lock(p_user_id, p_tool, true) w;
  if v_debt > 0 or (coalesce(v_balance, 0) < p_price and v_unlimited is not true) then
    perform unstuck_private.refuse(
      402,
      'insufficient_credits',
      jsonb_strip_nulls(jsonb_build_object(
        'balance', coalesce(v_balance, 0),
        'required', p_price,
        'debt', nullif(v_debt, 0)
      ))
    );
  end if;
  return coalesce(v_balance, 0);
end $$;

revoke all on function unstuck_private.refuse_over_balance
from public, anon, authenticated, service_role;
