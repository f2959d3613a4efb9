-- Deferred trigger, the last act of a transaction: writes every job that the transaction has
-- changed to the app's tables. Its first call takes the whole list of `unprojected`; further calls
-- find nothing. What is not written after five seconds is owed.
--
-- All jobs together wait 200 ms for the app's locks: the transaction holds wallets meanwhile, for
-- which other transactions of the app wait.
create or replace function unstuck_private.project() returns trigger
language plpgsql
security definer
set search_path = ''
as
$$
declare
  v_until timestamptz := clock_timestamp() + interval '5 seconds';
  v_wait_ms int := 200;
  v_at timestamptz;
  v_jobs uuid[];
  v_job uuid;
  v_projection unstuck.projections;
begin
  with taken as (
    delete from unstuck_private.unprojected u
    where u.xid = pg_current_xact_id()
    returning u.job_id
  )
  select array_agg(distinct t.job_id order by t.job_id)
  into v_jobs
  from taken t;
  foreach v_job in array coalesce(v_jobs, '{}') loop
    for v_projection in
      select p.*
      from unstuck.projections p
      join unstuck.jobs j on j.tool = p.tool
      where j.id = v_job
        and p.enabled
      order by p.level, p.host_table
    loop
      v_at := clock_timestamp();
      perform unstuck_private.job_project(
        v_job, v_projection, case when v_at < v_until then v_wait_ms end);
      v_wait_ms := greatest(
        v_wait_ms - extract(milliseconds from clock_timestamp() - v_at)::int, 1);
    end loop;
  end loop;
  return null;
end $$;

drop trigger if exists unprojected_project on unstuck_private.unprojected;

create constraint trigger unprojected_project
after insert on unstuck_private.unprojected
deferrable initially deferred
for each row execute function unstuck_private.project();

revoke all on function unstuck_private.project from public, anon, authenticated, service_role;
