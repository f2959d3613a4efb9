-- Returns what is before a queued step in its provider's queue, by tool: how many steps, and how
-- many jobs that have not begun.
--
-- Where the step's turn has come, it counts each tool's steps in an index, and those of a tool with
-- an open circuit are behind the step. Otherwise it reads the whole queue (`queue_order`).
create or replace function unstuck_private.steps_ahead(
  p_step unstuck.job_steps,
  p_now timestamptz
)
returns table (tool text, steps bigint, jobs bigint)
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
-- However few providers the statistics know, the line is read by its index.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as
$$
begin
  if p_step.turn_at <= p_now
    and not exists (
      select from unstuck.tools t
      where t.tool = p_step.line_tool
        and t.circuit_open_until > p_now
    )
  then
    return query
    select t.tool, b.steps + e.steps,
      b.steps + e.steps - case when b.others + e.others = 0 then 0 else (
        -- Only the first step stands for a job, and only until the job has begun.
        select count(*)
        from unstuck.job_steps s
        join unstuck.jobs j on j.id = s.job_id
        where s.provider = p_step.provider
          and s.line_tool = t.tool
          and s.status = 'queued'
          and s.turn_at is not null
          and (s.turn_at, s.job_id, s.step) < (p_step.turn_at, p_step.job_id, p_step.step)
          and unstuck_private.is_in_time(s, p_now)
          and (s.step > 1 or s.run > 0 and j.status <> 'queued')
      ) end
    from unstuck.tools t
    cross join lateral (
      select count(*) as steps, count(*) filter (where s.step > 1 or s.run > 0) as others
      from unstuck.job_steps s
      where s.provider = p_step.provider
        and s.line_tool = t.tool
        and s.status = 'queued'
        and s.turn_at < p_step.turn_at
        and unstuck_private.is_in_time(s, p_now)
    ) b
    -- Those of the same moment apart: to compare one column is a fifth cheaper.
    cross join lateral (
      select count(*) as steps, count(*) filter (where s.step > 1 or s.run > 0) as others
      from unstuck.job_steps s
      where s.provider = p_step.provider
        and s.line_tool = t.tool
        and s.status = 'queued'
        and s.turn_at = p_step.turn_at
        and (s.job_id, s.step) < (p_step.job_id, p_step.step)
        and unstuck_private.is_in_time(s, p_now)
    ) e
    where coalesce(t.circuit_open_until <= p_now, true)
      and b.steps + e.steps > 0;
    return;
  end if;
  return query
  with line as materialized (
    select *
    from unstuck_private.queue_order(p_step.provider, p_now) q
  )
  select l.tool, count(*), count(*) filter (where l.begins)
  from line l
  where l."position" < (
    select m."position"
    from line m
    where m.job_id = p_step.job_id
      and m.step = p_step.step
  )
  group by l.tool;
end $$;

revoke all on function unstuck_private.steps_ahead from public, anon, authenticated, service_role;
