-- Learns from a step that its provider refused for capacity. The learned limit falls at once to the
-- largest number of our steps that the provider had since the step was sent, 0 where other clients
-- fill it, and never rises here. The next probe waits for `probe_pause`: 30 seconds where the
-- refusal has confirmed the learned limit, else 5 seconds, or longer up to 30 seconds where the
-- provider asked for that (`p_delay`). A step that was never sent teaches nothing.
--
-- Steps whose answer is awaited count, because they may be what fills the provider. Each of them
-- that is refused too stops counting once that is recorded, so the last of several refusals finds
-- the limit.
--
-- Its caller holds an account and a job, against the lock order, as the callers of `circuit_close`
-- do: whoever has locked a provider skips locked jobs.
create or replace function unstuck_private.slot_limit_fall(
  p_step unstuck.job_steps,
  p_delay interval
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_learned int;
  v_taken int;
begin
  if p_step.sent_at is null then
    return;
  end if;
  select p.learned_limit
  into v_learned
  from unstuck.providers p
  where p.provider = p_step.provider
  for no key update;
  v_taken := unstuck_private.peak_at_provider(p_step.provider, p_step.sent_at, true);
  update unstuck.providers p
  set learned_limit = least(v_learned, v_taken),
    limit_probe_at = clock_timestamp() + greatest(
      unstuck_private.probe_pause(coalesce(v_learned <= v_taken, false)),
      least(p_delay, unstuck_private.probe_pause(true))
    )
  where p.provider = p_step.provider;
end $$;

revoke all on function unstuck_private.slot_limit_fall
from public, anon, authenticated, service_role;
