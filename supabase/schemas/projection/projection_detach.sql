-- Ends the projection of a tool to a table of the app. The app's rows stay as they are; the trigger
-- is dropped with the last tool of the table. Refuses while an ordered job of the tool lives,
-- because its row would never end, and while a row is owed to the table.
create or replace function unstuck_private.projection_detach(
  p_tool text,
  p_host_table regclass
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_statement text;
  v_jobs bigint;
  v_owed bigint;
begin
  -- From here on nobody orders and no job ends.
  lock table unstuck.credit_accounts in exclusive mode;
  select count(*)
  into v_jobs
  from unstuck.jobs j
  where j.tool = p_tool
    and unstuck_private.is_live(j.status)
    and j.request_hash is not null;
  select count(*)
  into v_owed
  from unstuck.projection_errors e
  where e.tool = p_tool
    and e.host_table = p_host_table
    and e.mended_at is null;
  if v_jobs > 0 or v_owed > 0 then
    raise exception '% jobs of % live, and % rows are owed to %',
      v_jobs, p_tool, v_owed, p_host_table
    using hint = 'Switch the tool off and wait: update unstuck.tools set enabled = false;';
  end if;
  delete from unstuck.projection_errors e
  where e.tool = p_tool
    and e.host_table = p_host_table;
  delete from unstuck.host_requests r
  using unstuck.jobs j
  where j.id = r.job_id
    and j.tool = p_tool
    and r.host_table = p_host_table;
  delete from unstuck.projections p
  where p.tool = p_tool
    and p.host_table = p_host_table;
  if not exists (select from unstuck.projections p where p.host_table = p_host_table) then
    v_statement := format('drop trigger if exists unstuck_host_row on %s', p_host_table);
    execute v_statement;
  end if;
end $$;

revoke all on function unstuck_private.projection_detach
from public, anon, authenticated, service_role;
