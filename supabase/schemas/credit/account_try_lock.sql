-- Locks the user's account before a sweep of that user's jobs. False when another transaction holds
-- the account for longer than a second: the request is then answered without a sweep. True for a
-- user without an account, who has nothing to lock.
create or replace function unstuck_private.account_try_lock(p_user_id uuid) returns boolean
language plpgsql
set search_path = ''
set lock_timeout = '1s'
as
$$
begin
  perform 1
  from unstuck.credit_accounts
  where user_id = p_user_id
  for update;
  return true;
exception when lock_not_available then
  return false;
end $$;

revoke all on function unstuck_private.account_try_lock
from public, anon, authenticated, service_role;
