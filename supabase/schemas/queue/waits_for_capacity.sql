-- True while a job waits because its provider refuses more steps than it has: a step of the job was
-- refused, or as many steps as the learned limit hold a slot. The queue does not depend on it;
-- replies show it as PROVIDER_BUSY.
create or replace function unstuck_private.waits_for_capacity(p_job unstuck.jobs) returns boolean
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_generic_plan
as
$$
begin
  return (
    select p_job.status = 'queued'
      and exists (
        select from unstuck.job_steps s
        join unstuck.providers p using (provider)
        where s.job_id = p_job.id
          and s.status = 'queued'
          and (
            s.error_code = 'PROVIDER_BUSY'
            or p.learned_limit <= (
              select count(*)
              from unstuck.job_steps l
              where l.provider = p.provider
                and unstuck_private.holds_slot(l)
            )
          )
      )
  );
end $$;

revoke all on function unstuck_private.waits_for_capacity
from public, anon, authenticated, service_role;
