-- Returns in how many seconds each slot of a provider will be free, the latest first. A step that
-- has taken longer than its tool's mean (`tool_times`) is expected to need once more the time by
-- which it is late.
create or replace function unstuck_private.seconds_until_slots_free(
  p_provider text,
  p_times unstuck_private.tool_time[]
)
returns numeric[]
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
begin
  return (
    with busy as (
      select
        abs(
          coalesce(t.seconds, 60)
          - unstuck_private.seconds_between(
            coalesce(s.claimed_at, s.sent_at, s.started_at, j.created_at),
            clock_timestamp()
          )
        ) as seconds
      from unstuck.job_steps s
      join unstuck.jobs j on j.id = s.job_id
      left join unnest(p_times) t on t.tool = j.tool
      where s.provider = p_provider
        and unstuck_private.holds_slot(s)
    ),
    slot as (
      select generate_series(
        1, greatest(unstuck_private.slot_limit(p, clock_timestamp()), 1)
      ) as slot
      from unstuck.providers p
      where p.provider = p_provider
    ),
    held as (
      -- After the limit was lowered there are more steps than slots: those that end first free
      -- none.
      select b.seconds
      from busy b
      union all
      select 0
      from slot
      order by 1 desc
      limit (select count(*) from slot)
    )
    select array_agg(h.seconds)
    from held h
  );
end $$;

revoke all on function unstuck_private.seconds_until_slots_free
from public, anon, authenticated, service_role;
