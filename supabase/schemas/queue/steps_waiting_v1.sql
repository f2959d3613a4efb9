create or replace function unstuck.steps_waiting_v1(p_provider text)
returns table (waiting int, may_start int)
language plpgsql
stable
security definer
set search_path = ''
-- However few providers the statistics know, the line is read by its index.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set statement_timeout = '5s'
as
$$
#variable_conflict use_column
begin
  return query
  select
    -- Those with a turn and those without one, each counted in an index of its own.
    (
      select count(*)::int
      from unstuck.job_steps s
      where s.provider = p.provider
        and s.status = 'queued'
        and s.turn_at is not null
    ) + (
      select count(*)::int
      from unstuck.job_steps s
      where s.provider = p.provider
        and s.status = 'queued'
        and s.turn_at is null
    ),
    unstuck_private.may_start(p.provider)
  from unstuck.providers p
  where p.provider = p_provider;
end $$;

comment on function unstuck.steps_waiting_v1 is $c$
Caller: a worker of a synchronous provider at its end, and every call that may have freed a slot.

Effect: none; waiting: how many steps wait, retries included; may_start: how many of them a claim
would take now.

Refuses: nothing; no row where there is no such provider.

Replay: reads again.
$c$;

revoke all on function unstuck.steps_waiting_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.steps_waiting_v1 to service_role;
