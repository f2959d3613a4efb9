create or replace function unstuck.purchase_checkout_v1(p_user_id uuid, p_pack text)
returns table (pack text, credits bigint, price_id text, recurring boolean, email text)
language plpgsql
stable
security definer
set search_path = ''
as
$$
begin
  return query
  select c.pack, c.credits, c.price_id, c.recurring,
    (unstuck_private.auth_user(p_user_id, null)).confirmed_email
  from unstuck.credit_packs c
  where c.pack = p_pack
    and c.enabled;
  if not found then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
end $$;

comment on function unstuck.purchase_checkout_v1 is $c$
Caller: purchase-checkout, for the verified user.

Effect: none. What the pack gives now, the seller's price of it, and the user's confirmed e-mail
address, if there is one that can be read.

Refuses: not_found (no such pack, or a disabled one).

Replay: reads again.
$c$;

revoke all on function unstuck.purchase_checkout_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.purchase_checkout_v1 to service_role;
