create or replace function unstuck.steps_waiting_v1(p_provider text)
returns table (waiting int, may_start int)
language sql
stable
security definer
set search_path = ''
set statement_timeout = '5s'
as
$$
  select
    q.waiting::int,
    case
      when not p.enabled or p.circuit_open_until > clock_timestamp() then 0
      else greatest(
        least(
          q.ready + q.trials,
          p.max_concurrent - l.live,
          case when p.circuit_open_until is not null then 1 end
        ),
        0
      )
    end::int
  from unstuck.providers p
  cross join lateral (
    select count(*) as live
    from unstuck.job_steps s
    where s.provider = p.provider
      and unstuck_private.holds_slot(s)
  ) l
  cross join lateral (
    select
      count(*) as waiting,
      count(*) filter (where o.ready and t.circuit_open_until is null) as ready,
      count(distinct t.tool) filter (where o.ready and t.circuit_open_until is not null) as trials
    from unstuck_private.queue_order(p.provider, clock_timestamp()) o
    join unstuck.tools t on t.tool = o.tool
  ) q
  where p.provider = p_provider
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
