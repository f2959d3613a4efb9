-- The second schedule: where pg_cron is present, the SQL healer runs every minute. Elsewhere this does nothing; the edge's
-- cron alone is enough, and both at once are harmless.

do $$
begin
  if not exists (select from pg_available_extensions where name = 'pg_cron') then
    raise notice 'pg_cron is not available: the edge cron is the only schedule';
    return;
  end if;
  create extension if not exists pg_cron;
  perform cron.schedule('unstuck-cleanup', '* * * * *', 'select public.cleanup_all_stale_ai_jobs()');
exception when others then
  raise notice 'pg_cron is present but could not be used (%): the edge cron is the only schedule', sqlerrm;
end $$;
