-- Trigger that settles the user's open debts with new credits, in the transaction that gives them.
create or replace function unstuck_private.credit_entries_settle() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  perform unstuck_private.debts_settle(new.user_id);
  return null;
end $$;

create or replace trigger credit_entries_settle
after insert on unstuck.credit_entries
for each row
when (new.kind in ('grant', 'purchase', 'bonus', 'goodwill'))
execute function unstuck_private.credit_entries_settle();

revoke all on function unstuck_private.credit_entries_settle
from public, anon, authenticated, service_role;
