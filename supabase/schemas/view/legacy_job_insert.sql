-- An older client's own insert: stored as pending, unpaid, harmless until its `/run` adopts it. Forged columns are not read.
create or replace function unstuck_private.legacy_job_insert() returns trigger
language plpgsql
security definer
set search_path = ''
as
$$
declare v_tool unstuck.tools; v_row jsonb := to_jsonb(new); v_input jsonb := '{}'; v_key text; v_keys jsonb; v_user uuid := auth.uid();
begin
  select * into v_tool from unstuck.tools t where t.table_name = tg_table_name and t.provider = 'runninghub';
  if v_user is null or not found or coalesce(new.user_id, v_user) <> v_user then
    raise exception 'permission denied for %', tg_table_name using errcode = '42501';
  end if;
  perform unstuck_private.account_lock(v_user);
  -- Twenty at a time, and so many in an hour that came to nothing. What is adopted by its `/run` counts no more.
  if (select count(*) filter (where j.status = 'pending') >= 20 or count(*) >= 200 from unstuck.jobs j
      where j.user_id = v_user and j.request_hash is null and j.created_at > clock_timestamp() - interval '1 hour') then
    perform unstuck_private.refuse(429, 'rate_limited');
  end if;
  v_keys := '{"image_url": "imageUrl", "resolution": "resolution", "detail_denoise": "detailDenoise", "prompt": "prompt", "version": "version",
    "category": "category", "framing_mode": "framingMode", "video_url": "videoUrl", "width": "width", "height": "height",
    "duration_seconds": "durationSeconds", "person_image_url": "personImageUrl", "reference_image_url": "referenceImageUrl",
    "clothing_image_url": "clothingImageUrl", "input_file_name": "input_file_name"}';
  for v_key in select jsonb_object_keys(v_keys) loop
    if v_row ->> v_key is not null then v_input := v_input || jsonb_build_object(v_keys ->> v_key, v_row -> v_key); end if;
  end loop;
  if octet_length(v_input::text) > 20000 then perform unstuck_private.refuse(413, 'payload_too_large'); end if;
  perform unstuck_private.act_as('client');
  begin
    insert into unstuck.jobs (id, tool, user_id, session_id, status, input)
    values (coalesce(new.id, gen_random_uuid()), v_tool.tool, v_user, left(new.session_id, 200), 'pending', v_input)
    returning id into new.id;
  exception when unique_violation then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end;
  -- The row as it is, not as it was written, is what the client is answered with.
  execute format('select * from unstuck.%I where id = $1', tg_table_name) into new using new.id;
  return new;
end $$;

revoke all on function unstuck_private.legacy_job_insert from public, anon, authenticated, service_role;
