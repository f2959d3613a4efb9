-- Lists the jobs that changed for `project`, where the tool has a projection.
create or replace function unstuck_private.jobs_unprojected() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if exists (select from unstuck.projections p where p.enabled) then
    insert into unstuck_private.unprojected (job_id)
    select n.id
    from new_rows n
    where exists (
      select from unstuck.projections p
      where p.tool = n.tool
        and p.enabled
    );
  end if;
  return null;
end $$;

create or replace trigger jobs_unprojected_insert after insert on unstuck.jobs
referencing new table as new_rows
for each statement execute function unstuck_private.jobs_unprojected();

create or replace trigger jobs_unprojected_update after update on unstuck.jobs
referencing new table as new_rows
for each statement execute function unstuck_private.jobs_unprojected();

revoke all on function unstuck_private.jobs_unprojected
from public, anon, authenticated, service_role;
