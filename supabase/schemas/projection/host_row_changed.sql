-- Trigger on an attached table of the app, for what others than us do to its rows; a setting marks
-- our own writes. An older page that inserts a row gets a pending job (`host_row_take`). A row that
-- a page or a function of the app ends while our job lives cancels that job, with its refund. Where
-- the user ends a job that a provider works on and the tool does not allow that cancel, the row is
-- written back. A row that belongs to another user ends no job.
--
-- The app's transaction has locked its row before, against our lock order, so nothing here waits
-- for our locks: what cannot be done at once stays in `host_requests` for the next pass.
create or replace function unstuck_private.host_row_changed() returns trigger
language plpgsql
security definer
set search_path = ''
set lock_timeout = '100ms'
as
$$
declare
  v_user uuid;
begin
  if current_setting('unstuck.projecting', true) = 'on' then
    return null;
  end if;
  if tg_op = 'INSERT' then
    perform unstuck_private.host_row_take(tg_relid, to_jsonb(new));
    return null;
  end if;
  select to_jsonb(new) ->> unstuck_private.projection_owner(p)
  into v_user
  from unstuck.projections p
  where p.host_table = tg_relid
    and p.enabled
    and new.status is distinct from old.status
    and new.status::text in (p.statuses ->> 'failed', p.statuses ->> 'cancelled')
  limit 1;
  if not found then
    return null;
  end if;
  begin
    perform
    from unstuck.jobs j
    where j.id = new.id
      and unstuck_private.is_live(j.status);
    if not found then
      return null;
    end if;
  exception when lock_not_available then
    -- The next pass sees whether there is such a job.
    null;
  end;
  insert into unstuck.host_requests (job_id, host_table, host_user, by_user)
  values (new.id, tg_relid, v_user, unstuck_private.is_by_user(v_user));
  perform unstuck_private.host_request_carry_out(new.id);
  return null;
exception when lock_not_available then
  raise warning 'what was done to the row % of % is not recorded: %', new.id, tg_relid, sqlerrm;
  return null;
end $$;

revoke all on function unstuck_private.host_row_changed
from public, anon, authenticated, service_role;
