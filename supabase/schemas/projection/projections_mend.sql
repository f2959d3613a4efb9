-- Lists in `unprojected` the jobs whose rows are owed to the app's tables, so that `project`
-- retries them at the end of this transaction. It takes 50, those with the fewest tries first,
-- because each may wait a moment for a lock of the app. It deletes what is owed for jobs that no
-- longer exist.
create or replace function unstuck_private.projections_mend() returns void
language plpgsql
set search_path = ''
as
$$
begin
  delete from unstuck.projection_errors e
  where e.id in (
    select g.id
    from unstuck.projection_errors g
    where g.mended_at is null
      and not exists (select from unstuck.jobs j where j.id = g.job_id)
    for update skip locked
  );
  insert into unstuck_private.unprojected (job_id)
  select e.job_id
  from unstuck.projection_errors e
  join unstuck.projections p on p.tool = e.tool and p.host_table = e.host_table and p.enabled
  where e.mended_at is null
  order by e.tries, e.at
  limit 50;
end $$;

revoke all on function unstuck_private.projections_mend
from public, anon, authenticated, service_role;
