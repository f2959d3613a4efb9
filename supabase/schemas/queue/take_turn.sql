-- Returns the turn of a step that joins a provider's queue: `p_at`, or null where another queued
-- step of the user has a turn by then, because a user has one turn at a time. A turn that cannot be
-- used does not count: its step's deadline has passed, or the circuit of its tool is open.
--
-- It locks that other step until the transaction ends. A claim skips a locked step, and so does not
-- pass its turn on before it can see the new step. Where another transaction has locked that step,
-- it may be leaving the queue at this moment, so the new step gets a turn of its own.
create or replace function unstuck_private.take_turn(
  p_provider text,
  p_user_id uuid,
  p_at timestamptz
)
returns timestamptz
language plpgsql
set search_path = ''
-- However few rows the statistics know, the line is read by its index.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as
$$
declare
  v_by timestamptz := greatest(p_at, clock_timestamp());
begin
  perform 1
  from unstuck.job_steps s
  where s.provider = p_provider
    and s.line_user_id = p_user_id
    and s.status = 'queued'
    and s.turn_at <= v_by
    and unstuck_private.is_in_time(s, clock_timestamp())
    and s.line_tool not in (
      select t.tool
      from unstuck.tools t
      where t.circuit_open_until is not null
    )
  order by s.turn_at
  limit 1
  for no key update skip locked;
  return case when not found then p_at end;
end $$;

revoke all on function unstuck_private.take_turn from public, anon, authenticated, service_role;
