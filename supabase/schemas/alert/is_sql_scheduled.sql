-- True where pg_cron shall run the SQL healer. A call by hand makes no healer of it. Where our role
-- cannot read the schedule, nothing is expected of it.
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
