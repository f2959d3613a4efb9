-- A job as the admin's page lists it.
create or replace function unstuck_private.job_summary(p_job unstuck.jobs) returns jsonb
language sql
stable
set search_path = ''
as
$$
  select jsonb_build_object(
    'jobId', p_job.id,
    'table', (select t.table_name from unstuck.tools t where t.tool = p_job.tool),
    'tool', p_job.tool,
    'userId', p_job.user_id,
    'status', p_job.status,
    'errorCode', p_job.error_code,
    'creditsCharged', p_job.credits_charged,
    'creditsRefunded', p_job.credits_refunded,
    'createdAt', p_job.created_at,
    'completedAt', p_job.completed_at
  )
$$;

revoke all on function unstuck_private.job_summary from public, anon, authenticated, service_role;
