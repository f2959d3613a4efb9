-- An older client may only end its own waiting job: `failed` and `cancelled` both cancel it, with
-- its refund; any other change is ignored.
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
