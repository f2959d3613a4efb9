-- An older client's own insert: stored as pending, unpaid, harmless until its `/run` adopts it.
-- Forged columns are not read.
create or replace function unstuck_private.legacy_job_insert() returns trigger
language plpgsql
security definer
set search_path = ''
as
$$
declare
  v_user uuid := auth.uid();
  v_row jsonb := to_jsonb(new);
  v_tool text;
  v_input jsonb;
begin
  select t.tool
  into v_tool
  from unstuck.tools t
  where t.table_name = tg_table_name;
  if v_user is null or not found or coalesce(new.user_id, v_user) <> v_user then
    raise exception 'permission denied for %', tg_table_name using errcode = '42501';
  end if;
  perform unstuck_private.account_lock(v_user);
  -- Twenty at a time, and so many in an hour that came to nothing. What is adopted by its `/run`
  -- counts no more.
  if (
    select count(*) filter (where j.status = 'pending') >= 20 or count(*) >= 200
    from unstuck.jobs j
    where j.user_id = v_user
      and j.request_hash is null
      and j.created_at > clock_timestamp() - interval '1 hour'
  ) then
    perform unstuck_private.refuse(429, 'rate_limited');
  end if;
  select coalesce(jsonb_object_agg(k.field, v_row -> k.column_name), '{}')
  into v_input
  from (
    values
      ('image_url', 'imageUrl'),
      ('resolution', 'resolution'),
      ('detail_denoise', 'detailDenoise'),
      ('prompt', 'prompt'),
      ('version', 'version'),
      ('category', 'category'),
      ('framing_mode', 'framingMode'),
      ('video_url', 'videoUrl'),
      ('width', 'width'),
      ('height', 'height'),
      ('duration_seconds', 'durationSeconds'),
      ('person_image_url', 'personImageUrl'),
      ('reference_image_url', 'referenceImageUrl'),
      ('clothing_image_url', 'clothingImageUrl'),
      ('input_file_name', 'input_file_name')
  ) as k (column_name, field)
  where v_row ->> k.column_name is not null;
  if octet_length(v_input::text) > 20000 then
    perform unstuck_private.refuse(413, 'payload_too_large');
  end if;
  perform unstuck_private.act_as('client');
  begin
    insert into unstuck.jobs (id, tool, user_id, session_id, status, input)
    values (
      coalesce(new.id, gen_random_uuid()),
      v_tool,
      v_user,
      left(new.session_id, 200),
      'pending',
      v_input
    )
    returning id into new.id;
  exception when unique_violation then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end;
  -- The row as it is, not as it was written, is what the client is answered with.
  case tg_table_name
    when 'upscaler_jobs' then
      select *
      into new
      from unstuck.upscaler_jobs v
      where v.id = new.id;
    when 'video_upscaler_jobs' then
      select *
      into new
      from unstuck.video_upscaler_jobs v
      where v.id = new.id;
    when 'pose_changer_jobs' then
      select *
      into new
      from unstuck.pose_changer_jobs v
      where v.id = new.id;
    when 'veste_ai_jobs' then
      select *
      into new
      from unstuck.veste_ai_jobs v
      where v.id = new.id;
  end case;
  return new;
end $$;

revoke all on function unstuck_private.legacy_job_insert
from public, anon, authenticated, service_role;
