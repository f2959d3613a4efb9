-- Locks the user's account, creates it where there is none, and returns its balance. It retries
-- where another transaction erased the account while this one waited, so that the caller always
-- holds a row.
create or replace function unstuck_private.account_lock(p_user_id uuid)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_balance bigint;
begin
  loop
    select a.balance
    into v_balance
    from unstuck.credit_accounts a
    where a.user_id = p_user_id
    for update;
    if found then
      return v_balance;
    end if;
    insert into unstuck.credit_accounts (user_id)
    values (p_user_id)
    on conflict do nothing;
  end loop;
end $$;

revoke all on function unstuck_private.account_lock from public, anon, authenticated, service_role;
