-- Lists everything there is, and every stored offence, for the audit.
create or replace function unstuck_private.unaudited_list_all() returns void
language sql
set search_path = ''
as
$$
  insert into unstuck_private.unaudited (job_id)
  select j.id
  from unstuck.jobs j;

  insert into unstuck_private.unaudited (job_id, user_id, entry_id)
  select e.job_id, e.user_id, e.id
  from unstuck.credit_entries e;

  insert into unstuck_private.unaudited (user_id)
  select a.user_id
  from unstuck.credit_accounts a;

  insert into unstuck_private.unaudited (job_id, user_id)
  select f.job_id, f.user_id
  from unstuck.violations_found f
$$;

revoke all on function unstuck_private.unaudited_list_all
from public, anon, authenticated, service_role;
