-- Returns in how many seconds the slots of a provider will together have done `p_seconds` of work,
-- where each slot begins when it is free (`seconds_until_slots_free`).
create or replace function unstuck_private.seconds_until_work_done(
  p_provider text,
  p_times unstuck_private.tool_time[],
  p_seconds numeric
)
returns numeric
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_generic_plan
as
$$
begin
  -- With the n slots that are free first: (work + the sum of their times) / n, where the next slot
  -- is not free earlier.
  return (
    select min((p_seconds + f.total) / f.slots)
    from (
      select
        s.free_in,
        sum(s.free_in) over (order by s.free_in, s.slot) as total,
        row_number() over (order by s.free_in, s.slot) as slots
      from unnest(unstuck_private.seconds_until_slots_free(p_provider, p_times))
        with ordinality as s (free_in, slot)
    ) f
  );
end $$;

revoke all on function unstuck_private.seconds_until_work_done
from public, anon, authenticated, service_role;
