-- Gives a user who has no usable turn in a provider's queue a turn from now on, behind those who
-- wait already. The turn goes to the user's first queued step without a turn that may be claimed:
-- its `not_before` has come, and the circuit of its tool is closed. If there is none and the user
-- has no turn at all, the first queued step gets it. Where another transaction has locked that
-- step, the turn is owed (`turns_owed`), and the next claim gives it.
create or replace function unstuck_private.give_turn(p_provider text, p_user_id uuid) returns void
language plpgsql
set search_path = ''
-- However few rows the statistics know, the line is read by its index.
set enable_seqscan = off
set enable_bitmapscan = off
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
  v_turns int;
  v_usable int;
  v_next unstuck.job_steps;
begin
  select count(*),
    count(*) filter (
      where s.turn_at <= v_now
        and s.line_tool <> all (v_shut)
        and unstuck_private.is_in_time(s, v_now)
    )
  into v_turns, v_usable
  from unstuck.job_steps s
  where s.provider = p_provider
    and s.line_user_id = p_user_id
    and s.status = 'queued'
    and s.turn_at is not null;
  if v_usable > 0 then
    return;
  end if;
  select s.*
  into v_next
  from unstuck.job_steps s
  where s.provider = p_provider
    and s.line_user_id = p_user_id
    and s.status = 'queued'
    and s.turn_at is null
    and coalesce(s.not_before <= v_now, true)
    and s.line_tool <> all (v_shut)
  order by s.turn_at, s.line_since, s.job_id, s.step
  limit 1;
  if not found and v_turns = 0 then
    select s.*
    into v_next
    from unstuck.job_steps s
    where s.provider = p_provider
      and s.line_user_id = p_user_id
      and s.status = 'queued'
      and s.turn_at is null
    order by s.turn_at, s.line_since, s.job_id, s.step
    limit 1;
  end if;
  if v_next.job_id is null then
    return;
  end if;
  perform 1
  from unstuck.job_steps s
  where s.job_id = v_next.job_id
    and s.step = v_next.step
    and s.status = 'queued'
  for update skip locked;
  if found then
    update unstuck.job_steps s
    set turn_at = greatest(v_now, s.not_before)
    where s.job_id = v_next.job_id
      and s.step = v_next.step;
  else
    insert into unstuck_private.turns_owed (provider, user_id)
    values (p_provider, p_user_id)
    on conflict do nothing;
  end if;
end $$;

revoke all on function unstuck_private.give_turn from public, anon, authenticated, service_role;
