-- Trigger on `credit_entries` that lists new entries for the audit, and the users and jobs of
-- deleted ones. After a delete it also records whose whole ledger is gone (`removals_record`).
create or replace function unstuck_private.credit_entries_unaudited() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if tg_op = 'INSERT' then
    insert into unstuck_private.unaudited (job_id, user_id, entry_id)
    select n.job_id, n.user_id, n.id
    from new_rows n;
  else
    insert into unstuck_private.unaudited (job_id, user_id)
    select distinct o.job_id, o.user_id
    from old_rows o;
    perform unstuck_private.removals_record(
      array(select distinct o.user_id from old_rows o)
    );
  end if;
  return null;
end $$;

create or replace trigger credit_entries_unaudited_insert after insert on unstuck.credit_entries
referencing new table as new_rows
for each statement execute function unstuck_private.credit_entries_unaudited();

create or replace trigger credit_entries_unaudited_delete after delete on unstuck.credit_entries
referencing old table as old_rows
for each statement execute function unstuck_private.credit_entries_unaudited();

revoke all on function unstuck_private.credit_entries_unaudited
from public, anon, authenticated, service_role;
