-- True while a job waits because its provider refuses more than it has: the job itself was refused,
-- or there are fewer slots than configured. It is no rule of the queue, only what is shown.
create or replace function unstuck_private.waits_for_capacity(p_job unstuck.jobs) returns boolean
language sql
stable
set search_path = ''
as
$$
  select p_job.status = 'queued'
    and exists (
      select from unstuck.job_steps s
      join unstuck.providers p using (provider)
      where s.job_id = p_job.id
        and s.status = 'queued'
        and (s.error_code = 'PROVIDER_BUSY' or p.learned_limit is not null)
    )
$$;

revoke all on function unstuck_private.waits_for_capacity
from public, anon, authenticated, service_role;
