-- Trigger that writes the history of steps: one event for each step that has changed its state or
-- its run, for all rows of a statement at once and without nested loops, like `jobs_log`. The event
-- of a requeue keeps the task that the run had.
create or replace function unstuck_private.job_steps_log() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
begin
  insert into unstuck.job_events (
    job_id, step, run, event, from_status, to_status, actor, detail
  )
  select
    n.job_id,
    n.step,
    n.run,
    case when n.status <> o.status then 'step_' || n.status else 'step_rerun' end,
    o.status,
    n.status,
    nullif(current_setting('unstuck.actor', true), ''),
    nullif(
      jsonb_strip_nulls(jsonb_build_object(
        'error_code', n.error_code,
        'last_task', case
          when o.provider_task_id is not null and n.provider_task_id is null then
            jsonb_build_object('task_id', o.provider_task_id, 'run', o.run)
        end
      )),
      '{}'
    )
  from new_rows n
  join old_rows o using (job_id, step)
  where n.status <> o.status
    or n.run <> o.run;
  return null;
end $$;

create or replace trigger job_steps_log
after update on unstuck.job_steps
referencing old table as old_rows new table as new_rows
for each statement
execute function unstuck_private.job_steps_log();

revoke all on function unstuck_private.job_steps_log from public, anon, authenticated, service_role;
