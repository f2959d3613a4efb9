-- Trigger on `jobs` that lists for `project` the jobs of a tool with a projection that are new or
-- have changed in what an app may show. A pruned input or a moved deadline lists nothing.
create or replace function unstuck_private.jobs_unprojected() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
begin
  if not exists (select from unstuck.projections p where p.enabled) then
    return null;
  end if;
  if tg_op = 'INSERT' then
    insert into unstuck_private.unprojected (job_id)
    select n.id
    from new_rows n
    where n.tool in (select p.tool from unstuck.projections p where p.enabled);
    return null;
  end if;
  insert into unstuck_private.unprojected (job_id)
  select n.id
  from new_rows n
  join old_rows o on o.id = n.id
  where row(
      n.status, n.user_id, n.session_id, n.credits_charged, n.credits_refunded, n.output_url,
      n.error_message, n.total_steps, n.current_step, n.retries, n.waited_in_queue, n.created_at,
      n.queued_at, n.started_at, n.completed_at)
    is distinct from row(
      o.status, o.user_id, o.session_id, o.credits_charged, o.credits_refunded, o.output_url,
      o.error_message, o.total_steps, o.current_step, o.retries, o.waited_in_queue, o.created_at,
      o.queued_at, o.started_at, o.completed_at)
    and n.tool in (select p.tool from unstuck.projections p where p.enabled);
  return null;
end $$;

create or replace trigger jobs_unprojected_insert after insert on unstuck.jobs
referencing new table as new_rows
for each statement execute function unstuck_private.jobs_unprojected();

create or replace trigger jobs_unprojected_update after update on unstuck.jobs
referencing old table as old_rows new table as new_rows
for each statement execute function unstuck_private.jobs_unprojected();

revoke all on function unstuck_private.jobs_unprojected
from public, anon, authenticated, service_role;
