-- Locks up to `p_limit` further steps, with their jobs, for slots that are left after every turn
-- was taken: first the next step of each user, then the one after it, and so on. `p_turns` are the
-- turns that were taken; steps of the tools `p_without` and locked ones are skipped.
--
-- A user whose turn cannot be used gets a step here too: the circuit of its tool is open, or the
-- turn was passed to nobody because the next step was locked.
create or replace function unstuck_private.next_turns_lock(
  p_provider text,
  p_now timestamptz,
  p_without text[],
  p_turns unstuck_private.turn[],
  p_limit int
)
returns setof unstuck_private.turn
language plpgsql
rows 5
set search_path = ''
-- However few providers the statistics know, the line is read by its index.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as
$$
begin
  return query
  with recursive waiting (user_id) as (
    -- The users who have a step without a turn, one index probe for each.
    (
      select s.line_user_id
      from unstuck.job_steps s
      where s.provider = p_provider and s.status = 'queued' and s.turn_at is null
      order by s.line_user_id
      limit 1
    )
    union all
    select (
      select s.line_user_id
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.status = 'queued'
        and s.turn_at is null
        and s.line_user_id > w.user_id
      order by s.line_user_id
      limit 1
    )
    from waiting w
    where w.user_id is not null
  ), further as materialized (
    select n.job_id, n.step, w.user_id, n.nth + 1 as nth,
      coalesce(
        (select min(t.turn_at) from unnest(p_turns) t where t.user_id = w.user_id), p_now
      ) as turn_at
    from waiting w
    cross join lateral (
      select s.job_id, s.step, row_number() over (order by s.line_since, s.job_id, s.step) as nth
      from unstuck.job_steps s
      where s.provider = p_provider
        and s.line_user_id = w.user_id
        and s.status = 'queued'
        and s.turn_at is null
        and coalesce(s.not_before <= p_now, true)
        and s.line_tool <> all (p_without)
      order by s.line_since, s.job_id, s.step
      limit p_limit
    ) n
  )
  select f.job_id, f.step, f.user_id, f.nth, f.turn_at
  from further f
  join unstuck.jobs j on j.id = f.job_id
  join unstuck.job_steps s
    on s.job_id = f.job_id
    and s.step = f.step
  where s.status = 'queued'
    and unstuck_private.is_live(j.status)
    and j.quarantined_at is null
    and unstuck_private.is_in_time(s, p_now)
  order by f.nth, f.turn_at, f.job_id, f.step
  limit p_limit
  for update of j, s skip locked;
end $$;

revoke all on function unstuck_private.next_turns_lock
from public, anon, authenticated, service_role;
