create or replace function unstuck.steps_waiting_v1(p_provider text)
returns table (waiting int, may_start int)
language sql
stable
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  with free as (
    select p.provider, n.now,
      case
        when not p.enabled or p.circuit_open_until > n.now then 0
        else greatest(
          least(
            p.max_concurrent - l.live,
            case when p.circuit_open_until is not null then 1 end
          ),
          0
        )
      end as slots
    from unstuck.providers p
    cross join (select clock_timestamp() as now) n
    cross join lateral (
      select count(*) as live
      from unstuck.job_steps s
      where s.provider = p.provider
        and unstuck_private.holds_slot(s)
    ) l
    where p.provider = p_provider
  )
  select
    (
      select count(*)::int
      from unstuck.job_steps s
      where s.provider = f.provider
        and s.status = 'queued'
    ),
    least(f.slots, usual.steps + trial.steps)::int
  from free f
  cross join lateral (
    select count(*) as steps
    from (
      select
      from unstuck.job_steps s
      where s.provider = f.provider
        and s.status = 'queued'
        and coalesce(s.not_before <= f.now, true)
        and (s.deadline_at > f.now or unstuck_private.is_at_work(s.job_id))
        and s.line_tool not in (select t.tool from unstuck.tools t where t.circuit_open_until is not null)
      limit f.slots
    ) s
  ) usual
  cross join lateral (
    -- One step of each tool whose circuit has a trial now.
    select count(*) as steps
    from unstuck.tools t
    where t.circuit_open_until <= f.now
      and exists (
        select from unstuck.job_steps s
        where s.provider = f.provider
          and s.status = 'queued'
          and s.line_tool = t.tool
          and coalesce(s.not_before <= f.now, true)
          and (s.deadline_at > f.now or unstuck_private.is_at_work(s.job_id))
      )
  ) trial
$$;

comment on function unstuck.steps_waiting_v1 is $c$
Caller: a worker of a synchronous provider at its end, and every call that may have freed a slot.

Effect: none; waiting: how many steps wait, retries included; may_start: how many of them a claim
would take now.

Refuses: nothing; no row where there is no such provider.

Replay: reads again.
$c$;

revoke all on function unstuck.steps_waiting_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_waiting_v1 to service_role;
