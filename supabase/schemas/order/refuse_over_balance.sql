-- Refuses a price that the balance does not cover.
create or replace function unstuck_private.refuse_over_balance(p_balance bigint, p_price bigint)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_balance < p_price then
    perform unstuck_private.refuse(
      402,
      'insufficient_credits',
      jsonb_build_object('balance', p_balance, 'required', p_price)
    );
  end if;
end $$;

revoke all on function unstuck_private.refuse_over_balance
from public, anon, authenticated, service_role;
