-- Returns what an order costs its user by the wallet, where our own price is `p_price`. Refuses
-- with price_changed an order that costs more than `p_max_credits`; null agrees to any price. Where
-- orders are free, no price is refused.
create or replace function unstuck_private.price_agreed(
  p_user_id uuid,
  p_tool text,
  p_input jsonb,
  p_price bigint,
  p_max_credits bigint
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_price bigint := unstuck_private.wallet_price(p_user_id, p_tool, p_input, p_price);
begin
  if v_price > p_max_credits
    and not exists (
      select
      from unstuck_private.wallet_lock(p_user_id, p_tool, null) w
      where w.unlimited
    )
  then
    perform unstuck_private.refuse(
      409, 'price_changed', jsonb_build_object('credits', v_price));
  end if;
  return v_price;
end $$;

revoke all on function unstuck_private.price_agreed
from public, anon, authenticated, service_role;
