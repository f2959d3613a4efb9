-- Locks up to `p_limit` steps of a provider's queue whose turn has come, with their jobs, and
-- returns them in the queue's order. It skips what another transaction has locked, steps past their
-- deadline, and those of the tools `p_without`. With `p_tool` it takes only steps of that tool.
create or replace function unstuck_private.turns_lock(
  p_provider text,
  p_now timestamptz,
  p_without text[],
  p_tool text,
  p_limit int
)
returns setof unstuck_private.turn
language plpgsql
rows 5
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
-- The line is read from its beginning, however long it is.
set enable_seqscan = off
set jit = off
set enable_sort = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as
$$
begin
  return query
  select s.job_id, s.step, s.line_user_id, 1::bigint, s.turn_at
  from unstuck.job_steps s
  join unstuck.jobs j on j.id = s.job_id
  where s.provider = p_provider
    and s.status = 'queued'
    and s.turn_at <= p_now
    and s.line_tool <> all (p_without)
    and (p_tool is null or s.line_tool = p_tool)
    and unstuck_private.is_live(j.status)
    and j.quarantined_at is null
    and unstuck_private.is_in_time(s, p_now)
  order by s.turn_at, s.job_id, s.step
  limit p_limit
  for update of j, s skip locked;
end $$;

revoke all on function unstuck_private.turns_lock from public, anon, authenticated, service_role;
