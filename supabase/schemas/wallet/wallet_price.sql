-- What this order costs its user, where the price of our own tables is p_price. The built-in wallet
-- has no prices of its own. An adapter may answer another price, and refuses what it cannot price.
create or replace function unstuck_private.wallet_price(
  p_user_id uuid,
  p_tool text,
  p_input jsonb,
  p_price bigint
)
returns bigint
language sql
as
$$
  select p_price
$$;

revoke all on function unstuck_private.wallet_price from public, anon, authenticated, service_role;
