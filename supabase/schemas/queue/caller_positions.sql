-- Returns the positions of the caller's queued jobs as `{job id: position}`; for an admin and the
-- service those of all queued jobs. The views call it once for each query, not for each row. More
-- than three positions are read in one pass over each provider's whole queue, fewer one by one.
create or replace function unstuck_private.caller_positions() returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as
$$
declare
  v_ids uuid[];
begin
  if unstuck_private.may_see(null) then
    v_ids := array(
      select j.id
      from unstuck.jobs j
      where j.status = 'queued'
    );
  else
    v_ids := array(
      select j.id
      from unstuck.jobs j
      where j.status = 'queued' and j.user_id = auth.uid()
    );
  end if;
  if cardinality(v_ids) <= 3 then
    return (
      select coalesce(jsonb_object_agg(n.id, p."position"), '{}')
      from unnest(v_ids) as n (id)
      cross join lateral unstuck_private.job_position(n.id) p
    );
  end if;
  return (
    with line as (
      select q.job_id, row_number() over (partition by p.provider order by q."position") as nth
      from (
        select distinct t.provider
        from unstuck.jobs j
        join unstuck.tools t using (tool)
        where j.id = any (v_ids)
      ) p
      cross join lateral unstuck_private.queue_order(p.provider, clock_timestamp()) q
      where q.begins
    )
    select coalesce(jsonb_object_agg(l.job_id, l.nth), '{}')
    from line l
    join unnest(v_ids) as n (id) on n.id = l.job_id
  );
end $$;

revoke all on function unstuck_private.caller_positions
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.caller_positions to authenticated, service_role;
