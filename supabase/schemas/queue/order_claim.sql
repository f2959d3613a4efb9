-- Claims the first step of a new order if a slot is free and no other step waits for it, and
-- returns it like `step_claim_v1`. Null where `step_claim_v1` must decide: which step is first, or
-- whether to probe a learned limit. The caller has locked the account and the job.
--
-- The provider is locked after those, against the lock order, so this does not wait for it: whoever
-- has locked it is claiming, and this step is claimed afterwards.
create or replace function unstuck_private.order_claim(p_job_id uuid) returns jsonb
language plpgsql
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
  v_now timestamptz;
  v_provider unstuck.providers;
  v_step unstuck.job_steps;
begin
  select s.*
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = 1;
  select p.*
  into v_provider
  from unstuck.providers p
  where p.provider = v_step.provider
  for no key update skip locked;
  v_now := clock_timestamp();
  if not found
    or not v_provider.enabled
    or v_provider.circuit_open_until is not null
    or v_step.turn_at is null
    or v_step.turn_at > v_now
    or exists (
      select from unstuck.tools t
      where t.tool = v_step.line_tool
        and t.circuit_open_until is not null
    )
    or exists (
      select from unstuck.job_steps s
      where s.provider = v_step.provider
        and s.status = 'queued'
        and s.turn_at < v_step.turn_at
    )
    or (
      select count(*)
      from unstuck.job_steps s
      where s.provider = v_step.provider
        and unstuck_private.holds_slot(s)
    ) >= least(v_provider.max_concurrent, v_provider.learned_limit)
  then
    return null;
  end if;
  return (
    select to_jsonb(c)
    from unstuck_private.steps_claim(
      v_provider,
      v_now,
      array[(p_job_id, 1, v_step.line_user_id, 1, v_step.turn_at)::unstuck_private.turn]
    ) c
  );
end $$;

revoke all on function unstuck_private.order_claim from public, anon, authenticated, service_role;
