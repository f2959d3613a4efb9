-- Returns how many jobs a sweep would still finalise, of up to 1,000 candidates by deadline, by age
-- and by pages that left. A job on which `jobs_due` fails counts too.
create or replace function unstuck_private.count_due(p_now timestamptz) returns int
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_ids uuid[];
  v_id uuid;
  v_due int := 0;
begin
  v_ids := array(
    select distinct i.id
    from unnest(array['deadline', 'age', 'left']) as w (way)
    cross join lateral unstuck_private.sweep_candidates(
      p_now, w.way, null, '-infinity', '00000000-0000-0000-0000-000000000000', 1000
    ) c
    cross join lateral unnest(c.ids) as i (id)
  );
  begin
    return (
      select count(*)
      from unstuck_private.jobs_due(p_now, v_ids)
    );
  exception when others then
    null;
  end;
  foreach v_id in array v_ids loop
    begin
      v_due := v_due + (select count(*) from unstuck_private.jobs_due(p_now, array[v_id]));
    exception when others then
      v_due := v_due + 1;
    end;
  end loop;
  return v_due;
end $$;

revoke all on function unstuck_private.count_due from public, anon, authenticated, service_role;
