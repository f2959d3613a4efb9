-- Locks the account of a job's user, the wallet and the job, in this order, for a function that
-- may move credits, and returns the job. Null where there is no such job; an account that it
-- created for a user who was erased meanwhile is deleted again.
--
-- A worker waits for the call of another worker. What is held for five seconds is held by an
-- operator: the call then fails, and its caller tries again. A healer does not wait.
create or replace function unstuck_private.job_lock(p_job_id uuid)
returns unstuck.jobs
language plpgsql
set search_path = ''
set lock_timeout = '5s'
as
$$
declare
  v_user uuid;
  v_tool text;
  v_job unstuck.jobs;
begin
  if unstuck_private.is_healers_call() then
    set local lock_timeout = '20ms';
  end if;
  select j.user_id, j.tool
  into v_user, v_tool
  from unstuck.jobs j
  where j.id = p_job_id;
  if not found then
    return null;
  end if;
  perform unstuck_private.account_lock(v_user);
  perform unstuck_private.wallet_hold(v_user, v_tool);
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
