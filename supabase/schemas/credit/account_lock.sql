-- Locks the user's account, and creates it where there is none, with the sign-up bonus. It retries
-- where another transaction erased the account while this one waited, so that the caller always
-- holds a row.
create or replace function unstuck_private.account_lock(p_user_id uuid)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_is_new boolean := false;
begin
  loop
    perform
    from unstuck.credit_accounts a
    where a.user_id = p_user_id
    for update;
    exit when found;
    insert into unstuck.credit_accounts (user_id)
    values (p_user_id)
    on conflict do nothing;
    v_is_new := found;
  end loop;
  if v_is_new then
    perform unstuck_private.signup_bonus_give(p_user_id);
  end if;
end $$;

revoke all on function unstuck_private.account_lock from public, anon, authenticated, service_role;
