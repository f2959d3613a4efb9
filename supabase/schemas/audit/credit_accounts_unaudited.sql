-- Trigger on `credit_accounts` that lists the users of the changed rows for the audit.
create or replace function unstuck_private.credit_accounts_unaudited() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if tg_op = 'DELETE' then
    insert into unstuck_private.unaudited (user_id)
    select o.user_id
    from old_rows o;
  else
    insert into unstuck_private.unaudited (user_id)
    select n.user_id
    from new_rows n;
  end if;
  return null;
end $$;

create or replace trigger credit_accounts_unaudited_insert after insert on unstuck.credit_accounts
referencing new table as new_rows
for each statement execute function unstuck_private.credit_accounts_unaudited();

create or replace trigger credit_accounts_unaudited_update after update on unstuck.credit_accounts
referencing new table as new_rows
for each statement execute function unstuck_private.credit_accounts_unaudited();

create or replace trigger credit_accounts_unaudited_delete after delete on unstuck.credit_accounts
referencing old table as old_rows
for each statement execute function unstuck_private.credit_accounts_unaudited();

revoke all on function unstuck_private.credit_accounts_unaudited
from public, anon, authenticated, service_role;
