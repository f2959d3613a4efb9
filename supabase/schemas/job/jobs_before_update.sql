-- Refuses to leave a final state, except when `/run` adopts an orphan that a sweep cancelled.
create or replace function unstuck_private.jobs_before_update() returns trigger
language plpgsql
set search_path = ''
as
$$
begin
  if unstuck_private.is_final(old.status)
    and new.status is distinct from old.status
    and not (
      old.status = 'cancelled'
      and old.error_code = 'ORPHANED'
      and new.status = 'queued'
    )
  then
    raise exception 'job % is final (%), it cannot become %', old.id, old.status, new.status
    using errcode = 'check_violation';
  end if;
  -- Retention empties the input of a final job; `updated_at` stays.
  if unstuck_private.is_final(old.status)
    and new.status = old.status
    and new.user_id = old.user_id
    and new.input = '{}'
    and old.input <> '{}'
  then
    return new;
  end if;
  -- A pending row that was inserted with a key starts while another live job has the key: it gives
  -- the key up, because a paid job must not fail for it.
  if old.status = 'pending'
    and new.status in ('queued', 'starting', 'running')
    and new.exclusive_key = old.exclusive_key
    and exists (
      select
      from unstuck.jobs j
      where j.exclusive_key = new.exclusive_key
        and j.status in ('queued', 'starting', 'running')
    )
  then
    new.exclusive_key := null;
  end if;
  new.updated_at := clock_timestamp();
  return new;
end $$;

create or replace trigger jobs_before_update
before update on unstuck.jobs
for each row
execute function unstuck_private.jobs_before_update();

revoke all on function unstuck_private.jobs_before_update
from public, anon, authenticated, service_role;
