-- Passes the turn of a step that left its provider's line on to the user's next waiting step: to
-- the first one that may be claimed, else to the first one. The turn counts from now on: the user
-- waits behind those who wait already.
create or replace function unstuck_private.pass_turn() returns trigger
language plpgsql
set search_path = ''
-- However few providers the statistics know, the line is read by its index.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_next unstuck.job_steps;
begin
  if exists (
    select from unstuck.job_steps s
    where s.provider = old.provider
      and s.line_user_id = old.line_user_id
      and s.status = 'queued'
      and s.turn_at <= v_now
  ) then
    return null;
  end if;
  select s.*
  into v_next
  from unstuck.job_steps s
  where s.provider = old.provider
    and s.line_user_id = old.line_user_id
    and s.status = 'queued'
    and s.turn_at is null
  order by coalesce(s.not_before > v_now, false), s.line_since, s.job_id, s.step
  limit 1
  for update skip locked;
  if found then
    update unstuck.job_steps s
    set turn_at = greatest(v_now, s.not_before)
    where s.job_id = v_next.job_id
      and s.step = v_next.step;
  end if;
  return null;
end $$;

create or replace trigger pass_turn_claimed
after update on unstuck.job_steps
for each row
when (old.status = 'queued' and new.status <> 'queued')
execute function unstuck_private.pass_turn();

create or replace trigger pass_turn_deleted
after delete on unstuck.job_steps
for each row
when (old.status = 'queued')
execute function unstuck_private.pass_turn();

revoke all on function unstuck_private.pass_turn from public, anon, authenticated, service_role;
