create or replace function unstuck.step_claim_v1(p_provider text, p_limit int)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  user_id uuid,
  attempts int,
  input jsonb,
  previous_output_url text,
  run_ms int
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_provider unstuck.providers;
  v_live int;
  v_free int;
  v_claimed int;
  v_now timestamptz;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  -- Slots are counted from rows under this lock. An ordinary `for update` would block the foreign
  -- keys' checks and deadlock with enqueue.
  select p.*
  into v_provider
  from unstuck.providers p
  where p.provider = p_provider
  for no key update;
  if not found or not v_provider.enabled then
    return;
  end if;
  v_now := clock_timestamp();
  select count(*)
  into v_live
  from unstuck.job_steps s
  where s.provider = p_provider
    and unstuck_private.holds_slot(s);
  v_free := least(
    unstuck_private.slot_limit(v_provider, v_now) - v_live,
    greatest(p_limit, 0));
  -- An open circuit lets one step through a minute.
  if v_provider.circuit_open_until is not null then
    v_free := least(v_free, (v_provider.circuit_open_until <= v_now)::int);
  end if;
  if v_free <= 0 then
    return;
  end if;
  perform unstuck_private.owed_turns_give(p_provider);
  -- A turn that was given just now counts too.
  v_now := clock_timestamp();
  return query
  select *
  from unstuck_private.steps_claim(
    v_provider, v_now, unstuck_private.steps_pick(p_provider, v_now, v_free));
  get diagnostics v_claimed = row_count;
  if v_claimed > 0 then
    perform unstuck_private.circuit_trial(p_provider, v_now);
  end if;
  -- One of them is a probe beyond the learned limit: the next probe waits for its answer.
  if v_live + v_claimed > v_provider.learned_limit then
    update unstuck.providers p
    set limit_probe_at = v_now + unstuck_private.probe_pause(true)
    where p.provider = p_provider;
  end if;
end $$;

comment on function unstuck.step_claim_v1 is $c$
Caller: a worker, before it submits steps of a provider.

Effect: claims up to p_limit waiting steps in queue order while slots are free. Each gets a new run
and a lease. The reply has each step's request, the output of the step before, and how long the step
may run. While the circuit of the provider or of a tool is open, one step of it is claimed a minute.
Where the provider refused steps for capacity, there are as many slots as it took, and from time to
time one step more is claimed as a probe.

Refuses: nothing; no row where no step may start.

Replay: claims the next steps.
$c$;

revoke all on function unstuck.step_claim_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_claim_v1 to service_role;
