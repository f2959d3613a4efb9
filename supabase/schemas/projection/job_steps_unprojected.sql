-- Trigger on `job_steps` that lists for `project` the jobs of which a step changed in what an app
-- may show. The renewal of a lease, for example, lists nothing.
create or replace function unstuck_private.job_steps_unprojected() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
begin
  if not exists (select from unstuck.projections p where p.enabled) then
    return null;
  end if;
  insert into unstuck_private.unprojected (job_id)
  select distinct n.job_id
  from new_rows n
  join old_rows o on o.job_id = n.job_id and o.step = n.step
  join unstuck.jobs j on j.id = n.job_id
  where row(n.status, n.provider_task_id, n.attempts, n.output_url, n.error_message)
    is distinct from row(o.status, o.provider_task_id, o.attempts, o.output_url, o.error_message)
    and j.tool in (select p.tool from unstuck.projections p where p.enabled);
  return null;
end $$;

create or replace trigger job_steps_unprojected after update on unstuck.job_steps
referencing old table as old_rows new table as new_rows
for each statement execute function unstuck_private.job_steps_unprojected();

revoke all on function unstuck_private.job_steps_unprojected
from public, anon, authenticated, service_role;
