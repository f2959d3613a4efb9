-- Refuses a table name that no tool has, then a job that is not in that table.
create or replace function unstuck_private.refuse_other_table(p_job unstuck.jobs, p_table text)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  if p_table is null or p_table not in (select t.table_name from unstuck.tools t) then
    perform unstuck_private.refuse(400, 'bad_request', '{"field": "table"}');
  end if;
  if p_job.id is null or not exists (
    select from unstuck.tools t
    where t.tool = p_job.tool
      and t.table_name = p_table
  ) then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
end $$;

revoke all on function unstuck_private.refuse_other_table
from public, anon, authenticated, service_role;
