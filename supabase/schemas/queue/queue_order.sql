-- The waiting steps of one provider in the order in which they will be claimed. Each user has one
-- turn at a time, since the user began to wait or was last served: a thousand jobs of one user let
-- every other user through after each of them. The order does not depend on what finishes when, so
-- that a position that was shown stays true. It reads the whole line: whoever asks about one job
-- calls `job_position`.
create or replace function unstuck_private.queue_order(p_provider text, p_now timestamptz)
returns table (job_id uuid, step int, tool text, "position" bigint)
language sql
stable
set search_path = ''
set jit = off
as
$$
  with own as (
    select
      s.job_id,
      s.step,
      s.line_tool,
      -- 1 for a step with a turn, then 2, 3 and so on for the user's others.
      case
        when s.turn_at is null then
          1 + row_number() over line - count(s.turn_at) over (partition by s.line_user_id)
        else 1
      end as nth,
      greatest(s.turn_at, s.not_before, t.circuit_open_until) as ready_at,
      coalesce(s.turn_at, min(s.turn_at) over (partition by s.line_user_id)) as turn_at
    from unstuck.job_steps s
    left join unstuck.tools t
      on t.tool = s.line_tool
      and t.circuit_open_until > p_now
    where s.provider = p_provider
      and s.status = 'queued'
      and (s.deadline_at > p_now or unstuck_private.is_at_work(s.job_id))
    window line as (
      partition by s.line_user_id
      order by s.turn_at, s.line_since, s.job_id, s.step
    )
  )
  select
    o.job_id,
    o.step,
    o.line_tool,
    row_number() over (
      order by coalesce(greatest(o.ready_at, o.turn_at) > p_now, false), o.nth,
        case when o.ready_at > p_now then o.ready_at end, o.turn_at, o.job_id, o.step
    )
  from own o
$$;

revoke all on function unstuck_private.queue_order from public, anon, authenticated, service_role;
