-- One job, locked in order (account, job), for the functions that may move money. Null where there
-- is none; an account that was made for a job that went meanwhile, with its user, goes with it.
--
-- A worker waits for another one's call. What is held for longer is held by an operator: then the
-- call fails, to be tried again, before whoever made it gives up.
create or replace function unstuck_private.job_lock(p_job_id uuid)
returns unstuck.jobs
language plpgsql
set search_path = ''
set lock_timeout = '5s'
as
$$
declare
  v_user uuid;
  v_job unstuck.jobs;
begin
  select j.user_id
  into v_user
  from unstuck.jobs j
  where j.id = p_job_id;
  if not found then
    return null;
  end if;
  perform unstuck_private.account_lock(v_user);
  select *
  into v_job
  from unstuck.jobs j
  where j.id = p_job_id
  for update;
  if v_job.user_id is distinct from v_user then
    perform unstuck_private.account_drop_empty(v_user);
  end if;
  return v_job;
end $$;

revoke all on function unstuck_private.job_lock from public, anon, authenticated, service_role;
