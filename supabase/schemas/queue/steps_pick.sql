-- Locks up to `p_limit` queued steps of a provider with their jobs, and returns them in the order
-- in which they are claimed. It skips what another transaction has locked. Of a tool whose circuit
-- is open, one step is let through as a trial once `circuit_open_until` has passed.
create or replace function unstuck_private.steps_pick(
  p_provider text,
  p_now timestamptz,
  p_limit int
)
returns unstuck_private.turn[]
language plpgsql
set search_path = ''
as
$$
declare
  -- The tools whose steps are not let through as usual, and those that have a trial now.
  v_shut text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until is not null
  );
  v_trials text[] := array(
    select t.tool
    from unstuck.tools t
    where t.circuit_open_until <= p_now
  );
  v_turns unstuck_private.turn[] := array(
    select t
    from unstuck_private.turns_lock(p_provider, p_now, v_shut, null, p_limit) t
  );
  v_tool text;
begin
  foreach v_tool in array v_trials loop
    v_turns := v_turns || array(
      select t
      from unstuck_private.turns_lock(p_provider, p_now, '{}', v_tool, 1) t
    );
  end loop;
  if cardinality(v_turns) < p_limit then
    v_turns := v_turns || array(
      select t
      from unstuck_private.next_turns_lock(
        p_provider, p_now, v_shut, v_turns, p_limit - cardinality(v_turns)) t
    );
  end if;
  return array(
    select t
    from unnest(v_turns) t
    order by t.nth, t.turn_at, t.job_id, t.step
    limit p_limit
  );
end $$;

revoke all on function unstuck_private.steps_pick from public, anon, authenticated, service_role;
