-- Returns how many queued steps of a provider a claim would take now. While no circuit is open it
-- reads about as many steps as there are free slots.
create or replace function unstuck_private.may_start(p_provider text) returns int
language plpgsql
stable
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
-- The line is read from its beginning, however long it is.
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_sort = off
set jit = off
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_shut text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until is not null
  );
  v_free int;
  v_steps int;
begin
  select least(
    unstuck_private.slot_limit(p, v_now) - (
      select count(*)
      from unstuck.job_steps s
      where s.provider = p.provider
        and unstuck_private.holds_slot(s)
    ),
    case when p.circuit_open_until is not null then 1 end
  )
  into v_free
  from unstuck.providers p
  where p.provider = p_provider
    and p.enabled
    and coalesce(p.circuit_open_until <= v_now, true);
  if coalesce(v_free, 0) <= 0 then
    return 0;
  end if;
  select count(*)
  into v_steps
  from (
    select
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    where s.provider = p_provider
      and s.status = 'queued'
      and s.turn_at <= v_now
      and s.line_tool <> all (v_shut)
      and unstuck_private.is_live(j.status)
      and j.quarantined_at is null
      and unstuck_private.is_in_time(s, v_now)
    order by s.turn_at, s.job_id, s.step
    limit v_free
  ) s;
  if v_steps < v_free then
    select v_steps + count(*)
    into v_steps
    from (
      select
      from unstuck.job_steps s
      join unstuck.jobs j on j.id = s.job_id
      where s.provider = p_provider
        and s.status = 'queued'
        and s.line_user_id is not null
        and s.turn_at is null
        and unstuck_private.is_live(j.status)
        and j.quarantined_at is null
        and coalesce(s.not_before <= v_now, true)
        and s.line_tool <> all (v_shut)
        and unstuck_private.is_in_time(s, v_now)
      order by s.line_user_id, s.turn_at, s.line_since, s.job_id, s.step
      limit v_free - v_steps
    ) s;
  end if;
  if v_steps < v_free and v_shut <> '{}' then
    v_steps := v_steps + unstuck_private.trials_waiting(p_provider, v_now);
  end if;
  return least(v_free, v_steps);
end $$;

revoke all on function unstuck_private.may_start from public, anon, authenticated, service_role;
