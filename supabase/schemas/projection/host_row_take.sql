-- Keeps a row that an older page inserted into an attached table as a pending job, where the table
-- has one tool. It is left alone where it cannot be kept: its `/run` makes the job all the same.
create or replace function unstuck_private.host_row_take(p_host_table regclass, p_row jsonb)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_tools text[] := array(
    select p.tool
    from unstuck.projections p
    where p.host_table = p_host_table
      and p.enabled
  );
begin
  if auth.uid() is null
    or p_row ->> 'user_id' is distinct from auth.uid()::text
    or cardinality(v_tools) <> 1
    or (
      select count(*) >= 20
      from unstuck.jobs j
      where j.user_id = auth.uid()
        and j.status = 'pending'
    )
  then
    return;
  end if;
  insert into unstuck.jobs (id, tool, user_id, session_id, status, input)
  values (
    (p_row ->> 'id')::uuid, v_tools[1], auth.uid(), left(p_row ->> 'session_id', 200), 'pending',
    unstuck_private.legacy_input(p_row))
  on conflict do nothing;
exception when others then
  raise warning 'the row % of % is not kept: %', p_row ->> 'id', p_host_table, sqlerrm;
end $$;

revoke all on function unstuck_private.host_row_take from public, anon, authenticated, service_role;
