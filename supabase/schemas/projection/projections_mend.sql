-- Lists what is owed to the app's tables once more, those tried least first, so that the last act
-- of this transaction writes it. At most 50, because each may wait for a lock of the app for a
-- moment. Nothing is owed of a job that is gone.
create or replace function unstuck_private.projections_mend() returns void
language sql
set search_path = ''
as
$$
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
  limit 50
$$;

revoke all on function unstuck_private.projections_mend
from public, anon, authenticated, service_role;
