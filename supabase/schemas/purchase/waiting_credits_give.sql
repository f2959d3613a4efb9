-- Gives a user the credits that wait: the sign-up bonus, by creating the account, and purchases
-- that were paid before their owner was known. A purchase that another transaction has locked, or
-- that cannot be given, is left to the next call.
create or replace function unstuck_private.waiting_credits_give(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_email text;
  v_id uuid;
begin
  if not exists (select from unstuck.credit_accounts a where a.user_id = p_user_id) then
    perform unstuck_private.account_lock(p_user_id);
  end if;
  if not exists (select from unstuck.purchases p where p.waits) then
    return;
  end if;
  v_email := (unstuck_private.auth_user(p_user_id, null)).confirmed_email;
  if not exists (
    select from unstuck.purchases p
    where p.waits and (p.user_id = p_user_id or p.email = v_email)
  ) then
    return;
  end if;
  perform unstuck_private.account_lock(p_user_id);
  for v_id in
    select p.id
    from unstuck.purchases p
    where p.waits and (p.user_id = p_user_id or p.email = v_email)
    order by p.id
    for update skip locked
  loop
    begin
      perform unstuck_private.purchase_settle(v_id);
    exception when others then
      raise warning 'the purchase % cannot be given: %', v_id, sqlerrm;
    end;
  end loop;
end $$;

revoke all on function unstuck_private.waiting_credits_give
from public, anon, authenticated, service_role;
