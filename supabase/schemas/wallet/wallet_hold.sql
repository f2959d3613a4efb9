-- Locks the wallet of a user whose row is locked, for a function that may refund, and returns the
-- balance. The built-in wallet is that row itself. A wallet that cannot be locked because it fails
-- stops nothing: the result is 0, the job ends, and what the wallet does not take is owed.
create or replace function unstuck_private.wallet_hold(p_user_id uuid, p_tool text) returns bigint
language plpgsql
set search_path = ''
as
$$
begin
  return coalesce(
    (select max(w.balance) from unstuck_private.wallet_lock(p_user_id, p_tool, true) w), 0);
exception
  when lock_not_available or deadlock_detected then
    raise;
  when others then
    raise warning 'the wallet of % cannot be locked: %', p_user_id, sqlerrm;
    return 0;
end $$;

revoke all on function unstuck_private.wallet_hold from public, anon, authenticated, service_role;
