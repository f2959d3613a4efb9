-- Trigger on `job_steps` that lists for the audit the jobs of new and deleted steps, and of those
-- that changed in a column that an invariant reads.
create or replace function unstuck_private.job_steps_unaudited() returns trigger
language plpgsql
set search_path = ''
set enable_nestloop = off
as
$$
begin
  if tg_op = 'UPDATE' then
    insert into unstuck_private.unaudited (job_id)
    select distinct job_id
    from old_rows o
    full join new_rows n using (job_id, step)
    where row(n.status, n.share) is distinct from row(o.status, o.share);
  elsif tg_op = 'DELETE' then
    insert into unstuck_private.unaudited (job_id)
    select distinct o.job_id
    from old_rows o;
  else
    insert into unstuck_private.unaudited (job_id)
    select distinct n.job_id
    from new_rows n;
  end if;
  return null;
end $$;

create or replace trigger job_steps_unaudited_insert after insert on unstuck.job_steps
referencing new table as new_rows
for each statement execute function unstuck_private.job_steps_unaudited();

create or replace trigger job_steps_unaudited_update after update on unstuck.job_steps
referencing old table as old_rows new table as new_rows
for each statement execute function unstuck_private.job_steps_unaudited();

create or replace trigger job_steps_unaudited_delete after delete on unstuck.job_steps
referencing old table as old_rows
for each statement execute function unstuck_private.job_steps_unaudited();

revoke all on function unstuck_private.job_steps_unaudited
from public, anon, authenticated, service_role;
