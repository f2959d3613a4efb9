-- Locks the account of a job's user, the wallet and the job, in this order, for a function that may
-- move credits, and returns the job; null where there is no such job. Where the user was erased
-- meanwhile, the account that `account_lock` has created is deleted once more.
--
-- A worker waits up to five seconds for each lock, enough for the call of another worker. A lock
-- that is held for longer is probably an operator's: the call fails, and its caller retries it. A
-- healer waits 20 ms only.
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
