-- Audits every job, user and entry, however long that takes, and returns how many violations are
-- stored afterwards. An operator calls it after a restore or after work with triggers switched off.
create or replace function unstuck_private.audit_everything() returns bigint
language plpgsql
set search_path = ''
as
$$
begin
  perform unstuck_private.unaudited_list_all();
  perform unstuck_private.audit(interval '1 day');
  return (select count(*) from unstuck.violations_found);
end $$;

revoke all on function unstuck_private.audit_everything
from public, anon, authenticated, service_role;
