-- What stands before a waiting step in its provider's line, by tool: how many steps, and how many
-- jobs that have not begun.
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
declare
  -- The tools whose steps wait for their circuit: the others go before them.
  v_shut text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until > p_now
  );
begin
  if p_step.turn_at <= p_now and p_step.line_tool <> all (v_shut) then
    return query
    select s.line_tool, count(*),
      count(*) filter (
        where s.step = 1
          -- A step that was put back may belong to a job that has begun.
          and (
            s.run = 0
            or (
              select j.status
              from unstuck.jobs j
              where j.id = s.job_id
            ) = 'queued'
          )
      )
    from unstuck.job_steps s
    where s.provider = p_step.provider
      and s.status = 'queued'
      and s.turn_at is not null
      and s.line_tool <> all (v_shut)
      and (s.deadline_at > p_now or unstuck_private.is_at_work(s.job_id))
      and (s.turn_at, s.job_id, s.step) < (p_step.turn_at, p_step.job_id, p_step.step)
    group by s.line_tool;
    return;
  end if;
  return query
  with line as materialized (
    select *
    from unstuck_private.queue_order(p_step.provider, p_now) q
  )
  select l.tool, count(*), count(*) filter (where l.step = 1 and j.status = 'queued')
  from line l
  join unstuck.jobs j on j.id = l.job_id
  where l."position" < (
    select m."position"
    from line m
    where m.job_id = p_step.job_id
      and m.step = p_step.step
  )
  group by l.tool;
end $$;

revoke all on function unstuck_private.steps_ahead from public, anon, authenticated, service_role;
