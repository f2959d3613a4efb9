-- Writes the history of jobs: one event per transition, for all rows of a statement at once. The
-- planner cannot know how many rows a transition table holds, and a nested loop over two of them
-- would cost the square of their size.
create or replace function unstuck_private.jobs_log() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
begin
  if tg_op = 'INSERT' then
    insert into unstuck.job_events (job_id, event, to_status, actor)
    select
      n.id,
      'job_created',
      n.status,
      nullif(current_setting('unstuck.actor', true), '')
    from new_rows n;
  else
    insert into unstuck.job_events (job_id, event, from_status, to_status, actor, detail)
    select
      n.id,
      'job_' || n.status,
      o.status,
      n.status,
      nullif(current_setting('unstuck.actor', true), ''),
      case when n.error_code is not null then jsonb_build_object('error_code', n.error_code) end
    from new_rows n
    join old_rows o using (id)
    where n.status <> o.status;
  end if;
  return null;
end $$;

create or replace trigger jobs_log_insert
after insert on unstuck.jobs
referencing new table as new_rows
for each statement
execute function unstuck_private.jobs_log();

create or replace trigger jobs_log_update
after update on unstuck.jobs
referencing old table as old_rows new table as new_rows
for each statement
execute function unstuck_private.jobs_log();

revoke all on function unstuck_private.jobs_log from public, anon, authenticated, service_role;
