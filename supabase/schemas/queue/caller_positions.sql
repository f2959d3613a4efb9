-- The positions of the caller's own waiting jobs, {job id: position}; for an admin and the service,
-- of all. A position costs a pass over the provider's whole queue, so a view calls this once a
-- query, not once a row.
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
  return (
    with waiting as materialized (
      select j.id, t.provider
      from unnest(v_ids) as n (id)
      join unstuck.jobs j on j.id = n.id
      join unstuck.tools t on t.tool = j.tool
    )
    select coalesce(jsonb_object_agg(w.id, q."position"), '{}')
    from (
      select distinct provider
      from waiting
    ) p
    cross join lateral unstuck_private.provider_positions(p.provider) q
    join waiting w on w.id = q.job_id and w.provider = p.provider
  );
end $$;

revoke all on function unstuck_private.caller_positions
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.caller_positions to authenticated, service_role;
