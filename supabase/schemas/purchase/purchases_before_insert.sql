-- Trigger that fills in what a writer leaves out of a new purchase: its ledger entries name its own
-- id.
create or replace function unstuck_private.purchases_before_insert() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  new.ids := coalesce(new.ids, array[new.id]);
  return new;
end $$;

create or replace trigger purchases_before_insert
before insert on unstuck.purchases
for each row
execute function unstuck_private.purchases_before_insert();

revoke all on function unstuck_private.purchases_before_insert
from public, anon, authenticated, service_role;
