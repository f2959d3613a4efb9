-- Locks the job and then its step, and returns the step; null where the step has another run or is
-- not at work. It waits for each lock for up to five seconds, in a healer's call for 20 ms.
create or replace function unstuck_private.step_lock(p_job_id uuid, p_step int, p_run bigint)
returns unstuck.job_steps
language plpgsql
set search_path = ''
set lock_timeout = '5s'
as
$$
declare
  v_step unstuck.job_steps;
begin
  if unstuck_private.is_healers_call() then
    set local lock_timeout = '20ms';
  end if;
  perform 1
  from unstuck.jobs
  where id = p_job_id
  for update;
  select *
  into v_step
  from unstuck.job_steps
  where job_id = p_job_id
    and step = p_step
    and run = p_run
    and status in ('starting', 'running')
  for update;
  if not found then
    return null;
  end if;
  return v_step;
end $$;

revoke all on function unstuck_private.step_lock from public, anon, authenticated, service_role;
