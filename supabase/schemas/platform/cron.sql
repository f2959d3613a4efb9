-- Schedules the SQL healer every minute where pg_cron is installed. Elsewhere the cron of the
-- Workers is the only schedule; both at once are harmless. This never creates the extension, which
-- is for the owner of the database to decide.
do $do$
begin
  if not exists (select from pg_catalog.pg_extension where extname = 'pg_cron') then
    raise notice 'pg_cron is not installed: only the Workers'' cron runs the healer';
    return;
  end if;
  perform cron.schedule(
    'unstuck-cleanup',
    '* * * * *',
    'select unstuck.cleanup_all_stale_ai_jobs()'
  );
exception when others then
  raise notice 'pg_cron could not be used (%): only the Workers'' cron runs the healer', sqlerrm;
end $do$;
