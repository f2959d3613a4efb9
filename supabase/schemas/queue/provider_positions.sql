-- Returns the positions of the jobs that wait at a provider, from 1, and in how many seconds each
-- will start: in its turn, in the slot that is free first, if every step takes as long as its tool
-- took lately (`tool_times`).
create or replace function unstuck_private.provider_positions(p_provider text)
returns table (job_id uuid, "position" int, eta_seconds int)
language plpgsql
stable
set search_path = ''
as
$$
declare
  v_times unstuck_private.tool_time[] := unstuck_private.tool_times(p_provider);
  v_free numeric[] := unstuck_private.seconds_until_slots_free(p_provider, v_times);
  v_slot int;
  v_step record;
  v_position int := 0;
begin
  for v_step in
    select
      q.job_id,
      coalesce(t.seconds, 60) as seconds,
      greatest(
        unstuck_private.seconds_between(
          clock_timestamp(),
          greatest(s.not_before, u.circuit_open_until, p.circuit_open_until)
        ),
        1
      ) as not_in,
      q.begins
    from unstuck_private.queue_order(p_provider, clock_timestamp()) q
    join unstuck.job_steps s
      on s.job_id = q.job_id
      and s.step = q.step
    join unstuck.tools u on u.tool = q.tool
    join unstuck.providers p on p.provider = s.provider
    left join unnest(v_times) t on t.tool = q.tool
    order by q."position"
  loop
    v_slot := 1;
    for i in 2 .. cardinality(v_free) loop
      if v_free[i] < v_free[v_slot] then
        v_slot := i;
      end if;
    end loop;
    v_free[v_slot] := greatest(v_free[v_slot], v_step.not_in);
    if v_step.begins then
      v_position := v_position + 1;
      return query
      select v_step.job_id, v_position, least(ceil(v_free[v_slot]), 2147483647)::int;
    end if;
    v_free[v_slot] := v_free[v_slot] + v_step.seconds;
  end loop;
end $$;

revoke all on function unstuck_private.provider_positions
from public, anon, authenticated, service_role;
