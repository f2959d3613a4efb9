-- The request that an older client's row describes: the columns that its page fills in, under the
-- field names of the API. Every other column is ignored.
create or replace function unstuck_private.legacy_input(p_row jsonb) returns jsonb
language sql
immutable
as
$$
  select coalesce(jsonb_object_agg(k.field, p_row -> k.column_name), '{}')
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
  where p_row ->> k.column_name is not null
$$;

revoke all on function unstuck_private.legacy_input from public, anon, authenticated, service_role;
