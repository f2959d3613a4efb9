-- Once its lease is over, this step goes back to the queue: it was handed over and never sent (a
-- rescue), or it is a synchronous attempt whose worker died. Without a lease nobody held it: it
-- was written by others. Some tools are retried by their own cleanup, which calls their function.
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
