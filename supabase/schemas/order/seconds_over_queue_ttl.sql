-- Returns how many seconds longer than the `queue_ttl` of its tool a new job would wait, less than
-- 0 where it would wait shorter; 0 while a slot is free or no duration was measured yet. It counts
-- from the job's own position, so that a user with many waiting jobs causes no refusal of other
-- users.
create or replace function unstuck_private.seconds_over_queue_ttl(
  p_job_id uuid,
  p_tool unstuck.tools
)
returns int
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
-- However few steps the statistics know, they are read by their indexes.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as
$$
declare
  v_free int;
begin
  select unstuck_private.slot_limit(p, clock_timestamp()) - (
    select count(*)
    from unstuck.job_steps s
    where s.provider = p.provider
      and unstuck_private.holds_slot(s)
  )
  into v_free
  from unstuck.providers p
  where p.provider = p_tool.provider;
  if (
    select count(*)
    from (
      select
      from unstuck.job_steps s
      where s.provider = p_tool.provider
        and s.status = 'queued'
        and s.job_id <> p_job_id
      limit greatest(v_free, 0)
    ) s
  ) < v_free
    or not exists (
      select from unstuck.job_steps s
      where s.provider = p_tool.provider
        and s.status = 'completed'
        and s.started_at is not null
    )
  then
    return 0;
  end if;
  return (
    select p.eta_seconds - least(extract(epoch from p_tool.queue_ttl), 2147483647)::int
    from unstuck_private.job_position(p_job_id) p
  );
end $$;

revoke all on function unstuck_private.seconds_over_queue_ttl
from public, anon, authenticated, service_role;
