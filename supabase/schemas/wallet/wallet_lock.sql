-- Locks what pays for this user's orders of this tool (null: of any tool), and says how much may be
-- spent, and whether orders are free. Without p_wait there is no row where another transaction
-- holds it. Where p_wait is null it only reads, and locks nothing.
--
-- The caller has locked the user's row of `credit_accounts` if it changes anything. The balance of
-- the built-in wallet is in that row, so this only reads it.
create or replace function unstuck_private.wallet_lock(
  p_user_id uuid,
  p_tool text,
  p_wait boolean
)
returns table (balance bigint, unlimited boolean)
language sql
stable
as
$$
  select a.balance, false
  from unstuck.credit_accounts a
  where a.user_id = p_user_id
$$;

revoke all on function unstuck_private.wallet_lock from public, anon, authenticated, service_role;
