-- Requeues the open steps of the live job `p_job` with new runs, fresh counters and new deadlines,
-- and adds the tasks that the provider still works on to their cancel debts. Final steps stay as
-- they are, and so do steps at work whose lease or deadline is not over. A step whose provider is
-- done keeps its result, which the next healer copies. Blocked steps and those get the new
-- `expires_at` as their deadline. `job_retry` calls it and has locked the job.
create or replace function unstuck_private.job_restart(
  p_job unstuck.jobs,
  p_tool unstuck.tools,
  p_now timestamptz
)
returns void
language sql
set search_path = ''
as
$$
  update unstuck.jobs j
  set expires_at = p_now + unstuck_private.job_lifetime(j.tool, j.total_steps),
    deadline_at = p_now + p_tool.queue_ttl,
    retries = 0
  where j.id = p_job.id;

  update unstuck.job_steps s
  set status = 'queued',
    attempts = 0,
    rescues = 0,
    not_before = null,
    sent_at = null,
    started_at = null,
    claimed_at = null,
    lease_until = null,
    provider_cancel_due = unstuck_private.cancel_debt_with(s),
    provider_task_id = null,
    run = s.run + 1,
    deadline_at = p_now + p_tool.queue_ttl
  where s.job_id = p_job.id
    and s.status in ('starting', 'running', 'queued')
    and s.provider_done_at is null
    and (s.status = 'queued' or coalesce(s.lease_until, s.deadline_at) <= p_now);

  update unstuck.job_steps s
  set deadline_at = j.expires_at,
    lease_until = null
  from unstuck.jobs j
  where j.id = s.job_id
    and s.job_id = p_job.id
    and not unstuck_private.is_final(s.status)
    and (s.status = 'blocked' or s.provider_done_at is not null);

  select unstuck_private.job_sync_from_steps(array[p_job.id]);

  insert into unstuck.job_events (job_id, event, from_status, to_status, actor)
  select j.id, 'job_requeued', p_job.status, j.status,
    nullif(current_setting('unstuck.actor', true), '')
  from unstuck.jobs j
  where j.id = p_job.id
$$;

revoke all on function unstuck_private.job_restart from public, anon, authenticated, service_role;
