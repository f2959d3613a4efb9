-- Refuses to delete a part of a user's ledger, because the balance would no longer equal the sum of
-- the entries. After the whole ledger is deleted the balance is 0.
create or replace function unstuck_private.credit_entries_after_delete()
returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if exists (
    select from (select distinct o.user_id from old_rows o) u
    join unstuck.credit_entries e using (user_id)
  ) then
    raise exception 'credit_entries is append-only' using errcode = 'restrict_violation';
  end if;
  update unstuck.credit_accounts a
  set balance = 0
  from (select distinct o.user_id from old_rows o) u
  where a.user_id = u.user_id;
  return null;
end $$;

create or replace trigger credit_entries_whole
after delete on unstuck.credit_entries
referencing old table as old_rows
for each statement execute function unstuck_private.credit_entries_after_delete();

revoke all on function unstuck_private.credit_entries_after_delete
from public, anon, authenticated, service_role;
