-- What others do to a row of an attached table. A row that an older page inserts is a pending job
-- of ours: unpaid, and harmless until its `/run` adopts it. A row that a page or a function of the
-- app ends while our job lives cancels the job, with its refund; but a user does not end a job of
-- the user's own that a provider works on, and the row is written back. Our own writes are known by
-- a setting.
--
-- The app's transaction holds its row already, against our order of locks, so nothing here waits.
create or replace function unstuck_private.host_row_changed() returns trigger
language plpgsql
security definer
set search_path = ''
as
$$
declare
  v_projection unstuck.projections;
begin
  if current_setting('unstuck.projecting', true) = 'on' then
    return null;
  end if;
  if tg_op = 'INSERT' then
    perform unstuck_private.host_row_take(tg_relid, to_jsonb(new));
    return null;
  end if;
  select p.*
  into v_projection
  from unstuck.projections p
  join unstuck.jobs j on j.tool = p.tool
  where p.host_table = tg_relid
    and p.enabled
    and j.id = new.id
    and unstuck_private.is_live(j.status);
  if found
    and new.status is distinct from old.status
    and new.status::text
      in (v_projection.statuses ->> 'failed', v_projection.statuses ->> 'cancelled')
  then
    if unstuck_private.is_own_at_work(new.id) then
      insert into unstuck_private.unprojected (job_id)
      values (new.id);
    else
      insert into unstuck.host_requests (job_id, host_table)
      values (new.id, tg_relid)
      on conflict do nothing;
      perform unstuck_private.host_request_carry_out(new.id);
    end if;
  end if;
  return null;
end $$;

revoke all on function unstuck_private.host_row_changed
from public, anon, authenticated, service_role;
