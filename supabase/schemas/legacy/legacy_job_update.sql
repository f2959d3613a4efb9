-- Trigger of the views under the old names for an update by an older client, which may only end its
-- own job: the status `failed` or `cancelled` cancels the job, with its refund, as `job_cancel_v1`
-- does. Any other change is ignored; a change of another user's row is refused (42501).
create or replace function unstuck_private.legacy_job_update() returns trigger
language plpgsql
security definer
set search_path = ''
as
$$
declare
  v_user uuid := auth.uid();
begin
  if v_user is null
    or old.user_id <> v_user
    or new.id <> old.id
    or new.user_id <> old.user_id
  then
    raise exception 'permission denied for %', tg_table_name using errcode = '42501';
  end if;
  if new.status in ('failed', 'cancelled')
    and (new.status is distinct from old.status or old.error_code = 'ORPHANED')
  then
    perform 1
    from unstuck.job_cancel_v1(v_user, tg_table_name, old.id);
    new := jsonb_populate_record(new, unstuck_private.legacy_row(tg_table_name, old.id));
    return new;
  end if;
  return null;
end $$;

revoke all on function unstuck_private.legacy_job_update
from public, anon, authenticated, service_role;
