-- Moves the balance by a new entry that has no `balance_after`. The set-based functions write the
-- balance and `balance_after` themselves.
create or replace function unstuck_private.credit_entries_before_insert()
returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if new.balance_after is null then
    perform unstuck_private.account_lock(new.user_id);
    update unstuck.credit_accounts
    set balance = balance + new.amount
    where user_id = new.user_id
    returning balance into new.balance_after;
  end if;
  return new;
end $$;

create or replace trigger credit_entries_before_insert
before insert on unstuck.credit_entries
for each row execute function unstuck_private.credit_entries_before_insert();

revoke all on function unstuck_private.credit_entries_before_insert
from public, anon, authenticated, service_role;
