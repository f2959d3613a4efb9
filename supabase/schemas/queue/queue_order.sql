-- Returns the queued steps of one provider in the order in which they will be claimed. `begins` is
-- true for the first step of a job that has not begun. It reads the whole queue; `job_position` is
-- for the position of one job.
--
-- Each user has one turn at a time, dated from when the user began to wait or was last served. So
-- after each of a thousand jobs of one user, every other user is served once. The order does not
-- depend on which steps finish first, so that a position that was shown remains true.
create or replace function unstuck_private.queue_order(p_provider text, p_now timestamptz)
returns table (job_id uuid, step int, tool text, begins boolean, "position" bigint)
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
-- However few providers the statistics know, the line is read by its index, which sorts it.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as
$$
begin
  return query
  with waiting as not materialized (
    select s.*, greatest(s.turn_at, s.not_before, t.circuit_open_until) as ready_at
    from unstuck.job_steps s
    left join unstuck.tools t
      on t.tool = s.line_tool
      and t.circuit_open_until > p_now
    where s.provider = p_provider
      and s.status = 'queued'
      and unstuck_private.is_in_time(s, p_now)
  ),
  -- The user's second step, third and so on: as if each had the user's turn.
  further as (
    select w.job_id, w.step, w.line_tool, w.run, w.ready_at, w.line_user_id,
      1 + row_number() over (
        partition by w.line_user_id
        order by w.line_since, w.job_id, w.step
      ) as nth
    from waiting w
    where w.turn_at is null
  ),
  turns as (
    select f.line_user_id, min(w.turn_at) as turn_at
    from (select distinct u.line_user_id from further u) f
    left join waiting w
      on w.line_user_id = f.line_user_id
      and w.turn_at is not null
    group by f.line_user_id
  ),
  line as (
    select w.job_id, w.step, w.line_tool, w.run, w.ready_at, 1::bigint as nth, w.turn_at
    from waiting w
    where w.turn_at is not null
    union all
    select f.job_id, f.step, f.line_tool, f.run, f.ready_at, f.nth, t.turn_at
    from further f
    left join turns t using (line_user_id)
  )
  select
    l.job_id,
    l.step,
    l.line_tool,
    l.step = 1 and (
      l.run = 0
      -- A step that was put back may belong to a job that has begun.
      or (
        select j.status
        from unstuck.jobs j
        where j.id = l.job_id
      ) = 'queued'
    ),
    row_number() over (
      order by coalesce(greatest(l.ready_at, l.turn_at) > p_now, false), l.nth,
        case when l.ready_at > p_now then l.ready_at end, l.turn_at, l.job_id, l.step
    )
  from line l;
end $$;

revoke all on function unstuck_private.queue_order from public, anon, authenticated, service_role;
