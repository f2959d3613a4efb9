-- Trigger on `job_steps`: a requeued step goes before the later steps of its user. If one of those
-- has the turn, the requeued step takes it, dated by the earlier one of both turns.
create or replace function unstuck_private.swap_turn() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_now timestamptz := clock_timestamp();
  v_holder unstuck.job_steps;
begin
  select s.*
  into v_holder
  from unstuck.job_steps s
  where s.provider = new.provider
    and s.line_user_id = new.line_user_id
    and s.status = 'queued'
    and s.turn_at <= v_now
    and (s.line_since, s.job_id, s.step) > (new.line_since, new.job_id, new.step)
  limit 1
  for update skip locked;
  if found then
    update unstuck.job_steps s
    set turn_at = case
      when s.job_id = new.job_id and s.step = new.step then least(old.turn_at, v_holder.turn_at)
    end
    where (s.job_id, s.step) in ((new.job_id, new.step), (v_holder.job_id, v_holder.step));
  end if;
  return null;
end $$;

create or replace trigger swap_turn
after update on unstuck.job_steps
for each row
when (
  new.status = 'queued'
  and old.status <> 'queued'
  and new.turn_at is null
  and coalesce(new.not_before <= clock_timestamp(), true)
)
execute function unstuck_private.swap_turn();

revoke all on function unstuck_private.swap_turn from public, anon, authenticated, service_role;
