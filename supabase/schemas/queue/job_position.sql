create or replace function unstuck_private.job_position(p_job_id uuid) returns int
language sql
stable
security definer
set search_path = ''
as
$$
  select p."position" from unstuck.jobs j join unstuck.tools t using (tool)
  cross join lateral unstuck_private.queue_places(t.provider) p
  where j.id = p_job_id and j.status = 'queued' and p.job_id = j.id and unstuck_private.may_see(j.user_id)
$$;

revoke all on function unstuck_private.job_position from public, anon, authenticated, service_role;
grant execute on function unstuck_private.job_position to authenticated, service_role;
