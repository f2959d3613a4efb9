-- Returns the violations that also depend on the clock and are therefore never stored:
-- `slots_within_limit`, `work_waits_for_a_reason`, and those of `violations_of_owed`.
create or replace function unstuck_private.violations_now()
returns table (invariant text, subject text, detail text)
language sql
stable
set search_path = ''
set jit = off
as
$$
  with since as (
    select clock_timestamp() as now, clock_timestamp() - interval '4 minutes' as at
  ), provider as materialized (
    select p.provider, p.enabled, p.max_concurrent, p.limit_changed_at, p.circuit_open_until,
      p.circuit_closed_at, l.live, unstuck_private.slot_limit(p, n.at) as slots
    from unstuck.providers p
    cross join since n
    cross join lateral (
      select count(*) as live
      from unstuck.job_steps s
      where s.provider = p.provider and unstuck_private.holds_slot(s)
    ) l
  ), freed as materialized (
    select s.provider, count(*) as slots
    from unstuck.job_steps s
    where coalesce(s.provider_done_at, s.completed_at) > (select since.at from since)
      and coalesce(s.claimed_at, s.sent_at, s.started_at) is not null
    group by s.provider
  ), idle as materialized (
    select p.provider, p.circuit_closed_at
    from provider p
    left join freed f on f.provider = p.provider
    where p.enabled
      and p.circuit_open_until is null
      and p.slots > p.live + coalesce(f.slots, 0)
  )
  select 'slots_within_limit', p.provider, format('%s live, limit %s', c.live, p.max_concurrent)
  from provider p
  cross join lateral (
    select count(*) as live
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p.provider
      and unstuck_private.holds_slot(s)
      -- Rows that others wrote hold a slot without a claim.
      and coalesce(s.claimed_at, s.sent_at, s.started_at, j.created_at) > p.limit_changed_at
  ) c
  where p.live > p.max_concurrent and c.live > p.max_concurrent
  union all
  select 'work_waits_for_a_reason', s.job_id::text,
    format('step %s waits while %s has a free slot', s.step, s.provider)
  from idle i
  cross join since n
  join unstuck.job_steps s on s.provider = i.provider and s.status = 'queued'
  join unstuck.jobs j on j.id = s.job_id
  join unstuck.tools t on t.tool = j.tool and t.circuit_open_until is null
  -- Four minutes count from the moment when nothing was in the way of the step.
  where greatest(
      coalesce(j.queued_at, j.created_at), s.not_before, i.circuit_closed_at, t.circuit_closed_at
    ) < n.at
    and unstuck_private.is_live(j.status)
    and j.quarantined_at is null
    -- The queue TTL is paused while another step of the job works.
    and (
      s.deadline_at > n.now
      or exists (
        select from unstuck.job_steps w
        where w.job_id = s.job_id and w.status in ('starting', 'running')
      )
    )
    and not exists (
      select from unstuck.job_events e
      where e.job_id = s.job_id
        and e.step = s.step
        and e.to_status = 'queued'
        and e.at >= n.at
    )
  union all
  select *
  from unstuck_private.violations_of_owed()
$$;

revoke all on function unstuck_private.violations_now
from public, anon, authenticated, service_role;
