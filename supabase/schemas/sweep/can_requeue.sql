-- True when the sweep requeues this step after its lease ended: a worker claimed it and never
-- submitted it (a rescue, at most 3), or it is an attempt at a synchronous provider whose worker
-- stopped, and an attempt is left. A step without a lease was written by others. The steps of a
-- provider with `retried_by_function` are left to a cleanup of their own.
create or replace function unstuck_private.can_requeue(
  p_step unstuck.job_steps,
  p_tool unstuck.tools,
  p_provider unstuck.providers
)
returns boolean
language sql
immutable
as
$$
  select p_step.lease_until is not null
    and (
      p_step.status = 'starting'
        and p_step.sent_at is null
        and p_step.rescues < 3
      or p_step.status = 'running'
        and p_provider.synchronous
        and not p_provider.retried_by_function
        and p_step.provider_done_at is null
        and p_step.attempts < p_tool.attempt_max
    )
$$;

revoke all on function unstuck_private.can_requeue from public, anon, authenticated, service_role;
