-- The turn of a step that joins a provider's line at p_at: null while another waiting step of the
-- user has a turn that has come, so that a user has one turn at a time.
--
-- It locks that other step until the transaction ends: a claim leaves a locked step out, and so
-- passes no turn on before it can see this step. A step that is locked by another transaction is
-- about to leave the line: this one gets a turn of its own.
create or replace function unstuck_private.take_turn(
  p_provider text,
  p_user_id uuid,
  p_at timestamptz
)
returns timestamptz
language plpgsql
set search_path = ''
-- However few providers the statistics know, the line is read by its index.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as
$$
begin
  perform 1
  from unstuck.job_steps s
  where s.provider = p_provider
    and s.line_user_id = p_user_id
    and s.status = 'queued'
    and s.turn_at <= clock_timestamp()
  limit 1
  for no key update skip locked;
  return case when not found then p_at end;
end $$;

revoke all on function unstuck_private.take_turn from public, anon, authenticated, service_role;
