-- Locks the wallets of those of these users, whose rows are locked, that no other transaction has
-- locked, and returns these users. A wallet that cannot be locked because it fails counts as
-- locked: the jobs of its user end, and what it does not take is owed.
create or replace function unstuck_private.wallets_try_lock(p_users uuid[]) returns uuid[]
language plpgsql
set search_path = ''
as
$$
declare
  v_user uuid;
  v_users uuid[] := '{}';
begin
  foreach v_user in array p_users loop
    begin
      perform
      from unstuck_private.wallet_lock(v_user, null, false);
      continue when not found;
    exception
      when lock_not_available or deadlock_detected then
        continue;
      when others then
        raise warning 'the wallet of % cannot be locked: %', v_user, sqlerrm;
    end;
    v_users := v_users || v_user;
  end loop;
  return v_users;
end $$;

revoke all on function unstuck_private.wallets_try_lock
from public, anon, authenticated, service_role;
