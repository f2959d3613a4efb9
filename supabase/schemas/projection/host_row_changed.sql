-- What others do to a row of an attached table. A row that an older page inserts is a pending job
-- of ours: unpaid, and harmless until its `/run` adopts it. A row that a page or a function of the
-- app ends while our job lives cancels the job, with its refund; but a user does not end a job of
-- the user's own that a provider works on, and the row is written back. A row that is another
-- user's is none of the job's. Our own writes are known by a setting.
--
-- The app's transaction holds its row already, against our order of locks, so nothing here waits.
create or replace function unstuck_private.host_row_changed() returns trigger
language plpgsql
security definer
set search_path = ''
as
$$
declare
  v_ends text[];
  v_user uuid;
begin
  if current_setting('unstuck.projecting', true) = 'on' then
    return null;
  end if;
  if tg_op = 'INSERT' then
    perform unstuck_private.host_row_take(tg_relid, to_jsonb(new));
    return null;
  end if;
  select array[p.statuses ->> 'failed', p.statuses ->> 'cancelled'], j.user_id
  into v_ends, v_user
  from unstuck.projections p
  join unstuck.jobs j on j.tool = p.tool
  where p.host_table = tg_relid
    and p.enabled
    and j.id = new.id
    and unstuck_private.is_live(j.status)
    and to_jsonb(new) ->> unstuck_private.projection_owner(p) is not distinct from
      case when unstuck_private.projection_owner(p) is not null then j.user_id::text end;
  if found
    and new.status is distinct from old.status
    and new.status::text = any (v_ends)
  then
    insert into unstuck.host_requests as r (job_id, host_table, by_user)
    values (new.id, tg_relid, unstuck_private.is_by_user(v_user))
    on conflict (job_id) do update
    set by_user = r.by_user and excluded.by_user;
    perform unstuck_private.host_request_carry_out(new.id);
  end if;
  return null;
end $$;

revoke all on function unstuck_private.host_row_changed
from public, anon, authenticated, service_role;
