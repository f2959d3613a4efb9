-- Takes the provider's success for a step that is not final: frees its slot, stores the output and
-- gives the caller the lease under which it copies the result. Returns the run with which the
-- caller goes on. The step is locked.
--
-- A success of an older run (`p_is_older`), or of a run that was requeued, is paid work and is
-- taken too. The older run gets a new number, so that the worker of the newer one changes nothing
-- any more, and the cancel of that worker's task is owed.
create or replace function unstuck_private.step_take_success(
  p_step unstuck.job_steps,
  p_is_older boolean,
  p_task_id text,
  p_output jsonb,
  p_deadline timestamptz
)
returns bigint
language plpgsql
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
declare
  v_run bigint;
begin
  update unstuck.job_steps s
  set status = 'running',
    run = s.run + p_is_older::int,
    provider_cancel_due = case
      when p_is_older
        and s.provider_task_id is distinct from p_task_id
        and s.provider_task_id is not null
      then
        s.provider_cancel_due
        || jsonb_build_object('task_id', s.provider_task_id, 'run', s.run)
      else unstuck_private.cancel_debt_without(s.provider_cancel_due, p_task_id)
    end,
    provider_task_id = coalesce(p_task_id, s.provider_task_id),
    output = p_output,
    not_before = null,
    sent_at = coalesce(s.sent_at, clock_timestamp()),
    started_at = coalesce(s.started_at, s.sent_at, clock_timestamp()),
    provider_done_at = coalesce(s.provider_done_at, clock_timestamp()),
    lease_until = clock_timestamp() + i.lease,
    deadline_at = p_deadline
  from unstuck_private.intervals() i
  where s.job_id = p_step.job_id
    and s.step = p_step.step
  returning s.run
  into v_run;
  return v_run;
end $$;

revoke all on function unstuck_private.step_take_success
from public, anon, authenticated, service_role;
