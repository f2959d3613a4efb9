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
  insert into unstuck.credit_accounts (user_id) values (v_user) on conflict do nothing;
  perform 1 from unstuck.credit_accounts where user_id = v_user for update;
  select * into v_job from unstuck.jobs where id = p_job_id for update;
  return v_job;
end $$;

revoke all on function unstuck_private.job_lock from public, anon, authenticated, service_role;
