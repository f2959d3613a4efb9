-- One job, locked in order (account, job), for the functions that may move money. Returns null where there is none.
create or replace function unstuck_private.job_lock(p_job_id uuid) returns unstuck.jobs
language plpgsql
set search_path = ''
as
$$
declare v_user uuid; v_job unstuck.jobs;
begin
  select user_id into v_user from unstuck.jobs where id = p_job_id;
  if not found then return null; end if;
  perform unstuck_private.account_lock(v_user);
  select * into v_job from unstuck.jobs where id = p_job_id for update;
  return v_job;
end $$;

revoke all on function unstuck_private.job_lock from public, anon, authenticated, service_role;
