-- Trigger on `job_steps`: when a step with a turn leaves the queue, the turn passes to its user's
-- next queued step (`give_turn`).
create or replace function unstuck_private.pass_turn() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  perform unstuck_private.give_turn(old.provider, old.line_user_id);
  return null;
end $$;

create or replace trigger pass_turn_claimed
after update on unstuck.job_steps
for each row
when (old.status = 'queued' and new.status <> 'queued' and old.turn_at is not null)
execute function unstuck_private.pass_turn();

create or replace trigger pass_turn_deleted
after delete on unstuck.job_steps
for each row
when (old.status = 'queued' and old.turn_at is not null)
execute function unstuck_private.pass_turn();

revoke all on function unstuck_private.pass_turn from public, anon, authenticated, service_role;
