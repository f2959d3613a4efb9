-- Fails a website that has no attempt or no time left, with its refund. The caller has locked
-- account, job and step.
create or replace function unstuck_private.website_fail(
  p_job unstuck.jobs,
  p_step unstuck.job_steps
)
returns table (job_status text, refunded bigint)
language sql
set search_path = ''
as
$$
  select f.job_status, f.refunded
  from unstuck_private.step_fail(
    p_job, p_step.step, 'TIMEOUT', format('no result after %s attempts.', p_step.attempts)) f
$$;

revoke all on function unstuck_private.website_fail from public, anon, authenticated, service_role;
