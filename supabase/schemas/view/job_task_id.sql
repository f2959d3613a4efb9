create or replace function unstuck_private.job_task_id(p_job_id uuid) returns text
language sql
stable
security definer
set search_path = ''
as
$$
  select s.provider_task_id from unstuck.job_steps s join unstuck.jobs j on j.id = s.job_id
  where s.job_id = p_job_id and s.provider_task_id is not null and unstuck_private.may_see(j.user_id) order by s.step desc limit 1
$$;

revoke all on function unstuck_private.job_task_id from public, anon, authenticated, service_role;
grant execute on function unstuck_private.job_task_id to authenticated, service_role;
