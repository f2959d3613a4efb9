-- Locks the wallet of a user whose row is locked, for a function that may refund, and returns the
-- balance. The built-in wallet is the row itself.
create or replace function unstuck_private.wallet_hold(p_user_id uuid, p_tool text) returns bigint
language plpgsql
set search_path = ''
as
$$
begin
  return coalesce(
    (select max(w.balance) from unstuck_private.wallet_lock(p_user_id, p_tool, true) w), 0);
end $$;

revoke all on function unstuck_private.wallet_hold from public, anon, authenticated, service_role;
