-- Returns what the tools of this table make: `image`, `video`, or `files`, a JSON object of texts
-- by path.
create or replace function unstuck_private.output_kind(p_table text) returns text
language sql
immutable
as
$$
  select case p_table
    when 'video_upscaler_jobs' then 'video'
    when 'generation_history' then 'files'
    else 'image'
  end
$$;

revoke all on function unstuck_private.output_kind from public, anon, authenticated, service_role;
