-- Requeues a website's stale attempt free of charge: the next attempt of the same paid job, with
-- the request that the job keeps. Account, job and step are locked.
create or replace function unstuck_private.website_requeue(
  p_job unstuck.jobs,
  p_step unstuck.job_steps,
  p_now timestamptz
)
returns void
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.jobs
  set retries = retries + 1
  where id = p_job.id;
  update unstuck.job_steps s
  set status = 'queued',
    input = p_job.input || s.input,
    lease_until = null,
    claimed_at = null,
    sent_at = null,
    started_at = null,
    not_before = null,
    checked_at = null,
    deadline_at = least(p_now + t.queue_ttl, p_job.expires_at)
  from unstuck.tools t
  where s.job_id = p_job.id
    and s.step = p_step.step
    and t.tool = p_job.tool;
  perform unstuck_private.job_sync_from_steps(array[p_job.id]);
  insert into unstuck.job_events (job_id, step, run, event, from_status, to_status, actor, detail)
  values (
    p_job.id, p_step.step, p_step.run, 'website_retried', 'running', 'queued',
    nullif(current_setting('unstuck.actor', true), ''),
    jsonb_build_object('retry', p_job.retries + 1));
end $$;

revoke all on function unstuck_private.website_requeue
from public, anon, authenticated, service_role;
