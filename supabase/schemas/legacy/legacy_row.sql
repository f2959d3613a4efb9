-- The job as its old-name view shows it now.
create or replace function unstuck_private.legacy_row(p_table text, p_id uuid) returns jsonb
language plpgsql
stable
set search_path = ''
as
$$
begin
  return case p_table
    when 'upscaler_jobs' then (
      select to_jsonb(v)
      from unstuck.upscaler_jobs v
      where v.id = p_id
    )
    when 'video_upscaler_jobs' then (
      select to_jsonb(v)
      from unstuck.video_upscaler_jobs v
      where v.id = p_id
    )
    when 'pose_changer_jobs' then (
      select to_jsonb(v)
      from unstuck.pose_changer_jobs v
      where v.id = p_id
    )
    when 'veste_ai_jobs' then (
      select to_jsonb(v)
      from unstuck.veste_ai_jobs v
      where v.id = p_id
    )
  end;
end $$;

revoke all on function unstuck_private.legacy_row from public, anon, authenticated, service_role;
