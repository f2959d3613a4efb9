-- Writes the jobs of this tool to this table no more. The rows stay as they are; the trigger goes
-- with the last tool that the table had.
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
begin
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
