-- Trigger after a truncate that lists everything for the audit, because a truncate does not say
-- which rows are gone.
create or replace function unstuck_private.truncate_unaudited() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  perform unstuck_private.unaudited_list_all();
  return null;
end $$;

create or replace trigger jobs_truncated after truncate on unstuck.jobs
for each statement execute function unstuck_private.truncate_unaudited();

create or replace trigger job_steps_truncated after truncate on unstuck.job_steps
for each statement execute function unstuck_private.truncate_unaudited();

create or replace trigger credit_entries_truncated after truncate on unstuck.credit_entries
for each statement execute function unstuck_private.truncate_unaudited();

create or replace trigger credit_accounts_truncated after truncate on unstuck.credit_accounts
for each statement execute function unstuck_private.truncate_unaudited();

revoke all on function unstuck_private.truncate_unaudited
from public, anon, authenticated, service_role;
