-- Trigger on `cancelled_requests` that lists jobs for the audit: at an insert those of the
-- cancelled orders that are live, at a delete those with a stored violation.
create or replace function unstuck_private.cancelled_requests_unaudited() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if tg_op = 'DELETE' then
    insert into unstuck_private.unaudited (job_id)
    select o.job_id
    from old_rows o
    join unstuck.violations_found f on f.job_id = o.job_id;
  else
    insert into unstuck_private.unaudited (job_id)
    select n.job_id
    from new_rows n
    join unstuck.jobs j on j.id = n.job_id
    where unstuck_private.is_live(j.status);
  end if;
  return null;
end $$;

create or replace trigger cancelled_requests_unaudited_insert
after insert on unstuck.cancelled_requests
referencing new table as new_rows
for each statement execute function unstuck_private.cancelled_requests_unaudited();

create or replace trigger cancelled_requests_unaudited_delete
after delete on unstuck.cancelled_requests
referencing old table as old_rows
for each statement execute function unstuck_private.cancelled_requests_unaudited();

revoke all on function unstuck_private.cancelled_requests_unaudited
from public, anon, authenticated, service_role;
