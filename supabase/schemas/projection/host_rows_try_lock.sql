-- Locks every row that the app has of a job and of its steps; false where another transaction has
-- locked one. All of them, because a trigger of the app may go from the row of a step to that of
-- its job.
create or replace function unstuck_private.host_rows_try_lock(p_job_id uuid, p_tool text)
returns boolean
language plpgsql
set search_path = ''
as
$$
declare
  v_ids uuid[] := array(
    select unstuck_private.step_row_id(s)
    from unstuck.job_steps s
    where s.job_id = p_job_id
  );
  v_statement text;
begin
  select 'select ' || string_agg(
    format(
      '(select count(*) from (select from %s t where t.id = any ($1) order by t.id '
        || 'for no key update nowait) l)',
      p.host_table),
    ', ' order by p.level, p.host_table)
  into v_statement
  from unstuck.projections p
  where p.tool = p_tool
    and p.enabled;
  execute v_statement
  using v_ids || p_job_id;
  return true;
exception when lock_not_available then
  return false;
end $$;

revoke all on function unstuck_private.host_rows_try_lock
from public, anon, authenticated, service_role;
