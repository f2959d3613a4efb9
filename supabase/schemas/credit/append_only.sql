-- Refuses to change a ledger entry. A wrong entry is corrected by another entry.
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

revoke all on function unstuck_private.append_only from public, anon, authenticated, service_role;
