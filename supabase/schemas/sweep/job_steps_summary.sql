-- Returns one row with what `jobs_due` needs to know of a job's steps. It fixes no search_path, so
-- that the planner inlines it there.
create or replace function unstuck_private.job_steps_summary(
  p_job unstuck.jobs,
  p_tool unstuck.tools,
  p_provider unstuck.providers,
  p_now timestamptz
)
returns table (
  steps bigint,
  done bigint,
  live bigint,
  working bigint,
  at_provider boolean,
  leased boolean,
  rescuable boolean,
  retryable boolean,
  undelivered boolean,
  working_deadline timestamptz,
  lifetime interval
)
language sql
stable
as
$$
  select
    count(*),
    count(*) filter (where s.status = 'completed'),
    count(*) filter (where not unstuck_private.is_final(s.status)),
    count(*) filter (where s.status in ('starting', 'running')),
    -- at_provider: an asynchronous provider has the step. SQL waits 3 minutes past the deadline for
    -- an edge healer, which can query the provider.
    bool_or(unstuck_private.holds_slot(s) and s.sent_at is not null and not p.synchronous),
    -- leased: a worker waits for a synchronous provider.
    bool_or(
      s.status in ('starting', 'running') and p.synchronous and s.lease_until > p_now
    ),
    -- rescuable: `steps_rescue` puts the step back into the queue.
    bool_or(p_now < p_job.expires_at and unstuck_private.can_requeue(s, p_tool, p)),
    -- retryable: the cleanup that calls the tool's function retries the step. SQL cannot, and waits
    -- 3 minutes past the deadline for that cleanup.
    bool_or(
      p_now < p_job.expires_at
      and s.status = 'running'
      and p.retried_by_function
      and s.provider_done_at is null
      and s.lease_until is not null
      and s.attempts < p_tool.attempt_max
    ),
    -- undelivered: the provider finished, and the result is not in our storage.
    bool_or(s.provider_done_at is not null and not unstuck_private.is_final(s.status)),
    min(s.deadline_at) filter (where s.status in ('starting', 'running')),
    unstuck_private.lifetime_limit(p_tool, p_provider, p_job.total_steps, count(*))
  from unstuck.job_steps s
  join unstuck.providers p using (provider)
  where s.job_id = p_job.id
$$;

revoke all on function unstuck_private.job_steps_summary
from public, anon, authenticated, service_role;
