-- Returns the rows of `violations_of`, also where a single job or user makes that function fail:
-- then each is audited alone, and one that cannot be audited is a violation itself.
create or replace function unstuck_private.violations_of_each(
  p_jobs uuid[],
  p_users uuid[],
  p_entries bigint[]
)
returns table (
  invariant text,
  subject text,
  detail text,
  job_id uuid,
  user_id uuid,
  entry_id bigint
)
language plpgsql
stable
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_id uuid;
begin
  begin
    return query
    select *
    from unstuck_private.violations_of(p_jobs, p_users, p_entries);
    return;
  exception when others then
    null;
  end;
  foreach v_id in array coalesce(p_jobs, '{}') loop
    begin
      return query
      select *
      from unstuck_private.violations_of(array[v_id], '{}', '{}');
    exception when others then
      return query
      select 'row_can_be_audited', v_id::text, sqlerrm, v_id, null::uuid, null::bigint;
    end;
  end loop;
  foreach v_id in array coalesce(p_users, '{}') loop
    begin
      return query
      select *
      from unstuck_private.violations_of(
        '{}',
        array[v_id],
        array(
          select e.id
          from unstuck.credit_entries e
          where e.user_id = v_id and e.id = any (p_entries)
        )
      );
    exception when others then
      return query
      select 'row_can_be_audited', v_id::text, sqlerrm, null::uuid, v_id, null::bigint;
    end;
  end loop;
end $$;

revoke all on function unstuck_private.violations_of_each
from public, anon, authenticated, service_role;
