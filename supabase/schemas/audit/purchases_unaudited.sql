-- Trigger on `purchases` that lists the users of new and changed purchases for the audit.
create or replace function unstuck_private.purchases_unaudited() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  insert into unstuck_private.unaudited (user_id)
  select n.user_id
  from new_rows n
  where n.user_id is not null;
  return null;
end $$;

create or replace trigger purchases_unaudited_insert after insert on unstuck.purchases
referencing new table as new_rows
for each statement execute function unstuck_private.purchases_unaudited();

create or replace trigger purchases_unaudited_update after update on unstuck.purchases
referencing new table as new_rows
for each statement execute function unstuck_private.purchases_unaudited();

revoke all on function unstuck_private.purchases_unaudited
from public, anon, authenticated, service_role;
