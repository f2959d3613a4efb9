-- Returns what a user may spend, as replies and reports show it, without a lock. Where the wallet
-- fails, or has no row of the user, it is the balance after the last entry of the ledger.
create or replace function unstuck_private.balance_shown(p_user_id uuid, p_tool text)
returns bigint
language plpgsql
stable
set search_path = ''
as
$$
begin
  return coalesce(
    (select w.balance from unstuck_private.wallet_lock(p_user_id, p_tool, null) w),
    unstuck_private.balance_last(p_user_id)
  );
exception when others then
  raise warning 'the wallet of % cannot be read: %', p_user_id, sqlerrm;
  return unstuck_private.balance_last(p_user_id);
end $$;

revoke all on function unstuck_private.balance_shown from public, anon, authenticated, service_role;
