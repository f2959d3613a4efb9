-- True where pg_cron has an active schedule of the SQL healer, so that its absence is a fault. A
-- call of the healer by hand does not count. False where pg_cron is not installed or our role
-- cannot read its schedule.
create or replace function unstuck_private.is_sql_scheduled() returns boolean
language plpgsql
stable
set search_path = ''
as
$$
begin
  if to_regclass('cron.job') is null then
    return false;
  end if;
  return exists (
    select from cron.job j
    where j.jobname = 'unstuck-cleanup' and j.active
  );
exception when insufficient_privilege then
  return false;
end $$;

revoke all on function unstuck_private.is_sql_scheduled
from public, anon, authenticated, service_role;
