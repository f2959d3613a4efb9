-- Trigger that refuses to change an entry of the ledger, which only another entry corrects, and to
-- change or delete a row of `admin_log`.
create or replace function unstuck_private.append_only()
returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  raise exception '% is append-only', tg_table_name
  using errcode = 'restrict_violation';
end $$;

create or replace trigger credit_entries_append_only
before update on unstuck.credit_entries
for each row execute function unstuck_private.append_only();

create or replace trigger admin_log_append_only
before update or delete on unstuck.admin_log
for each row execute function unstuck_private.append_only();

create or replace trigger admin_log_never_emptied
before truncate on unstuck.admin_log
for each statement execute function unstuck_private.append_only();

revoke all on function unstuck_private.append_only from public, anon, authenticated, service_role;
