-- Refuses an order that costs more than its user agreed to; null agrees to any price. Where orders
-- are free nothing is charged, so nothing is dearer.
create or replace function unstuck_private.refuse_dearer(
  p_user_id uuid,
  p_tool text,
  p_price bigint,
  p_max_credits bigint
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_price > p_max_credits
    and not exists (
      select
      from unstuck_private.wallet_lock(p_user_id, p_tool, null) w
      where w.unlimited
    )
  then
    perform unstuck_private.refuse(
      409, 'price_changed', jsonb_build_object('credits', p_price));
  end if;
end $$;

revoke all on function unstuck_private.refuse_dearer
from public, anon, authenticated, service_role;
