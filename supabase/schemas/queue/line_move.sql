-- Trigger on `jobs`: when an operator changes since when a job waits, its queued steps move in the
-- queue by as much. A change from or to infinity moves nothing.
create or replace function unstuck_private.line_move() returns trigger
language plpgsql
set search_path = ''
as
$$
declare
  v_by interval := coalesce(new.queued_at, new.created_at)
    - coalesce(old.queued_at, old.created_at);
begin
  update unstuck.job_steps s
  set line_since = s.line_since + v_by,
    turn_at = s.turn_at + v_by
  where s.job_id = new.id
    and s.status = 'queued';
  return null;
end $$;

create or replace trigger line_move
after update of queued_at, created_at on unstuck.jobs
for each row
when (
  coalesce(new.queued_at, new.created_at) <> coalesce(old.queued_at, old.created_at)
  and isfinite(coalesce(new.queued_at, new.created_at))
  and isfinite(coalesce(old.queued_at, old.created_at))
)
execute function unstuck_private.line_move();

revoke all on function unstuck_private.line_move from public, anon, authenticated, service_role;
