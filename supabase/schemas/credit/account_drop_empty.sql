-- Deletes the account that `account_lock` created for a job whose user was erased meanwhile. The
-- caller has locked it.
create or replace function unstuck_private.account_drop_empty(p_user_id uuid)
returns void
language sql
set search_path = ''
as
$$
  delete from unstuck.credit_accounts a
  where a.user_id = p_user_id
    and a.balance = 0
    and not exists (select from unstuck.credit_entries e where e.user_id = p_user_id)
    and not exists (select from unstuck.jobs j where j.user_id = p_user_id)
$$;

revoke all on function unstuck_private.account_drop_empty
from public, anon, authenticated, service_role;
