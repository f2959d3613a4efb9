-- Writes an adjustment of `p_amount`, negative or positive, for `consume_upscaler_credits` and
-- `refund_upscaler_credits`, which older back ends call. It never takes more than the balance.
--
-- It answers a refusal with success = false and a message, as those back ends expect. That includes
-- a refusal of the wallet, whose balance may contain a credit limit that is for orders only.
create or replace function unstuck_private.credit_adjust(
  p_user_id uuid,
  p_amount bigint,
  p_reason text
)
returns table (success boolean, new_balance bigint, error_message text)
language plpgsql
set search_path = ''
as
$$
declare
  v_balance bigint;
begin
  if p_user_id is null or p_amount is null or p_amount = 0 then
    return query select false, null::bigint, 'Amount must be positive';
    return;
  end if;
  if p_amount > unstuck_private.grant_max() then
    return query select false, null::bigint, 'Amount is too large';
    return;
  end if;
  perform unstuck_private.act_as('service');
  perform unstuck_private.account_lock(p_user_id);
  select coalesce(max(w.balance), 0)
  into v_balance
  from unstuck_private.wallet_lock(p_user_id, null, true) w;
  if v_balance + p_amount < 0 then
    return query select false, v_balance, 'Insufficient credits';
    return;
  end if;
  insert into unstuck.credit_entries (user_id, kind, amount, reason)
  values (p_user_id, 'adjustment', p_amount, p_reason)
  returning balance_after
  into v_balance;
  return query select true, v_balance, null::text;
exception when others then
  if sqlstate <> '23514' and sqlstate not like 'PT4%' then
    raise;
  end if;
  return query
  select false, v_balance,
    case sqlstate when '23514' then 'Insufficient credits' else sqlerrm end;
end $$;

revoke all on function unstuck_private.credit_adjust from public, anon, authenticated, service_role;
