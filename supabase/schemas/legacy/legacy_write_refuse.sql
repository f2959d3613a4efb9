-- Refuses a write to a view that older clients only read.
create or replace function unstuck_private.legacy_write_refuse() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  raise exception 'permission denied for %', tg_table_name using errcode = '42501';
end $$;

revoke all on function unstuck_private.legacy_write_refuse
from public, anon, authenticated, service_role;
