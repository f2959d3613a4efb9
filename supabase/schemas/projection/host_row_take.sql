-- Keeps a row that an older page inserted into an attached table as a pending job, for a signed-in
-- user's own row within the limits of `legacy_job_insert`. The row must fit exactly one tool: the
-- fixed words that each projection writes into its columns tell the tools apart. Any other row is
-- left alone, and so is one that cannot be written; its `/run` makes the job all the same.
create or replace function unstuck_private.host_row_take(p_host_table regclass, p_row jsonb)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_input jsonb := unstuck_private.legacy_input(p_row);
  v_tools text[] := array(
    select p.tool
    from unstuck.projections p
    where p.host_table = p_host_table
      and p.enabled
      and not exists (
        select from jsonb_each(p.columns) c
        where c.value ->> 'once' ~ '^''[^'']*''$'
          and p_row ->> c.key is distinct from trim(both '''' from c.value ->> 'once')
      )
  );
begin
  if auth.uid() is null
    or p_row ->> 'user_id' is distinct from auth.uid()::text
    or cardinality(v_tools) <> 1
    or octet_length(v_input::text) > 20000
    or (
      select count(*) filter (where j.status = 'pending') >= 20 or count(*) >= 200
      from unstuck.jobs j
      where j.user_id = auth.uid()
        and j.request_hash is null
        and j.created_at > clock_timestamp() - interval '1 hour'
    )
  then
    return;
  end if;
  insert into unstuck.jobs (id, tool, user_id, session_id, status, input)
  values (
    (p_row ->> 'id')::uuid, v_tools[1], auth.uid(), left(p_row ->> 'session_id', 200), 'pending',
    v_input)
  on conflict do nothing;
exception when others then
  raise warning 'the row % of % is not kept: %', p_row ->> 'id', p_host_table, sqlerrm;
end $$;

revoke all on function unstuck_private.host_row_take from public, anon, authenticated, service_role;
