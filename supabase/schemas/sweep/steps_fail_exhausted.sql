-- Fails the steps at synchronous providers whose lease ended and that have no attempt left, up to
-- `p_limit` until `p_until`, of one user only if `p_user_id` is given; the other steps of their
-- jobs go on. Jobs that another transaction has locked are left to the next pass; a job on which
-- this fails is quarantined.
create or replace function unstuck_private.steps_fail_exhausted(
  p_now timestamptz,
  p_user_id uuid,
  p_limit int,
  p_until timestamptz
)
returns table (job_id uuid, tool text, status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare
  v_job uuid;
  v_step int;
begin
  for v_job, v_step in
    select s.job_id, s.step
    from unstuck.job_steps s
    join unstuck.jobs j on j.id = s.job_id
    join unstuck.tools t using (tool)
    join unstuck.providers p on p.provider = s.provider
    where s.status = 'running'
      and p.synchronous
      and not p.retried_by_function
      and s.lease_until <= p_now
      and s.provider_done_at is null
      and s.attempts >= t.attempt_max
      and j.quarantined_at is null
      and (p_user_id is null or j.user_id = p_user_id)
    order by s.lease_until, s.job_id, s.step
    limit p_limit
  loop
    exit when clock_timestamp() > p_until;
    continue when unstuck_private.jobs_try_lock(array[v_job]) = '{}';
    begin
      return query
      select e.job_id, e.tool, e.status, e.refunded
      from unstuck_private.step_fail_exhausted(p_now, v_job, v_step) e;
    exception
      when lock_not_available or transaction_rollback or insufficient_resources or system_error then
        null;
      when others then
        perform unstuck_private.jobs_quarantine(array[v_job], sqlerrm);
    end;
  end loop;
end $$;

revoke all on function unstuck_private.steps_fail_exhausted
from public, anon, authenticated, service_role;
