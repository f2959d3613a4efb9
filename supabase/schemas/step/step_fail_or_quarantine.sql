-- Fails a step for a worker, as `step_fail` does. Where the job's row or its ledger refuses the
-- refund, the job is quarantined instead: all its open steps fail, and an operator looks at its
-- credits. A failure that is no fault of the row, such as a lock, is raised. Account and job are
-- locked.
create or replace function unstuck_private.step_fail_or_quarantine(
  p_job unstuck.jobs,
  p_step int,
  p_code text,
  p_message text
)
returns table (job_status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
begin
  return query
  select f.job_status, f.refunded
  from unstuck_private.step_fail(p_job, p_step, p_code, p_message) f;
exception
  when lock_not_available or transaction_rollback or insufficient_resources or system_error then
    raise;
  when others then
    perform unstuck_private.jobs_quarantine(array[p_job.id], sqlerrm);
    return query select p_job.status, 0::bigint;
end $$;

revoke all on function unstuck_private.step_fail_or_quarantine
from public, anon, authenticated, service_role;
