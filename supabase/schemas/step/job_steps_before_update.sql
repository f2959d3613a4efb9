-- Trigger that refuses to leave a final state, and keeps the queue in order.
--
-- A step that becomes queued joins its provider's queue (`take_turn`). A requeued step gets the
-- turn that it had; the next step of a try-on is dated from the claim of the step before it. Where
-- the `not_before` of a queued step with a turn changes, its turn moves to that time if that is
-- later. If the step no longer has to wait, a turn in the future moves to now, and an earlier turn
-- stays.
--
-- When the deadline of a step at work is made earlier by hand, its job's deadline follows, because
-- the healers find a job by its own deadline.
create or replace function unstuck_private.job_steps_before_update() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if unstuck_private.is_final(old.status) and new.status is distinct from old.status then
    raise exception 'step %/% is final (%), it cannot become %',
      old.job_id, old.step, old.status, new.status
    using errcode = 'check_violation';
  end if;
  if new.status = 'queued' and (old.status <> 'queued' or new.line_user_id is null) then
    select j.user_id, j.tool, coalesce(j.queued_at, j.created_at),
      unstuck_private.take_turn(
        new.provider,
        j.user_id,
        greatest(
          coalesce(old.turn_at, b.claimed_at, j.queued_at, j.created_at),
          case when new.not_before > clock_timestamp() then new.not_before end
        )
      )
    into new.line_user_id, new.line_tool, new.line_since, new.turn_at
    from unstuck.jobs j
    left join unstuck.job_steps b
      on b.job_id = j.id
      and b.step = new.step - 1
      and old.status = 'blocked'
    where j.id = new.job_id;
  elsif new.status <> 'queued' and old.status = 'queued' then
    new.line_user_id := null;
  elsif new.status = 'queued'
    and new.not_before is distinct from old.not_before
    and new.turn_at = old.turn_at
  then
    new.turn_at := case
      when new.not_before > clock_timestamp() then greatest(old.turn_at, new.not_before)
      else least(old.turn_at, clock_timestamp())
    end;
  end if;
  if new.deadline_at < old.deadline_at
    and (new.status, new.run) = (old.status, old.run)
    and new.status in ('starting', 'running')
  then
    update unstuck.jobs set
      deadline_at = new.deadline_at
    where id = new.job_id
      and deadline_at > new.deadline_at
      and unstuck_private.is_live(status);
  end if;
  return new;
end $$;

create or replace trigger job_steps_before_update
before update on unstuck.job_steps
for each row
execute function unstuck_private.job_steps_before_update();

revoke all on function unstuck_private.job_steps_before_update
from public, anon, authenticated, service_role;
