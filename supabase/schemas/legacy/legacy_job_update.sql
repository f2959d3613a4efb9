-- An older client may only end its own waiting job. Whatever word it writes, the job is cancelled
-- and returned if paid.
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
    case tg_table_name
      when 'upscaler_jobs' then
        select *
        into new
        from unstuck.upscaler_jobs v
        where v.id = old.id;
      when 'video_upscaler_jobs' then
        select *
        into new
        from unstuck.video_upscaler_jobs v
        where v.id = old.id;
      when 'pose_changer_jobs' then
        select *
        into new
        from unstuck.pose_changer_jobs v
        where v.id = old.id;
      when 'veste_ai_jobs' then
        select *
        into new
        from unstuck.veste_ai_jobs v
        where v.id = old.id;
    end case;
    return new;
  end if;
  return null;
end $$;

revoke all on function unstuck_private.legacy_job_update
from public, anon, authenticated, service_role;
