-- Deletes the runs of our schedule from pg_cron's own table, which keeps them for ever and which
-- the app's schedules share. That table has no index but its key. So this walks through it by the
-- key, passing each row once, from where the last walk stopped. Returns how many rows it has
-- passed.
create or replace function unstuck_private.prune_cron_runs(p_before timestamptz, p_limit int)
returns int
language plpgsql
set search_path = ''
set plan_cache_mode = 'force_custom_plan'
as
$$
declare
  v_from bigint;
  v_to bigint;
  v_passed int;
begin
  if to_regclass('cron.job_run_details') is null then
    return 0;
  end if;
  select p.position
  into v_from
  from unstuck_private.retention_progress p
  where p.kind = 'cron_runs';
  -- The numbers restarted: the extension was created anew.
  if v_from is null or v_from > (select max(d.runid) from cron.job_run_details d) then
    v_from := 0;
  end if;
  select max(w.runid), count(*)
  into v_to, v_passed
  from (
    select d.runid, coalesce(d.end_time, d.start_time) as at
    from cron.job_run_details d
    where d.runid > v_from
    order by d.runid
    limit p_limit
  ) w
  where w.at < p_before;
  if v_to is null then
    return 0;
  end if;
  delete from cron.job_run_details d
  where d.runid > v_from
    and d.runid <= v_to
    and d.jobid in (select c.jobid from cron.job c where c.jobname = 'unstuck-cleanup');
  insert into unstuck_private.retention_progress as p (kind, position)
  values ('cron_runs', v_to)
  on conflict (kind) do update
  set position = excluded.position;
  return v_passed;
end $$;

revoke all on function unstuck_private.prune_cron_runs
from public, anon, authenticated, service_role;
