-- Claims these queued steps of a provider, which are locked. The caller has counted the slots under
-- the provider's lock. Each step gets a new run, a lease and a deadline, its user's turn is passed
-- on (`pass_turn`), and its job becomes starting or running. A step of a synchronous provider is
-- running at once, and counts as an attempt from here on.
--
-- Returns the steps in the order of `p_turns`, with the result of the step before (null for the
-- first one) and the milliseconds for which each may run.
create or replace function unstuck_private.steps_claim(
  p_provider unstuck.providers,
  p_now timestamptz,
  p_turns unstuck_private.turn[]
)
returns table (
  job_id uuid,
  step int,
  run bigint,
  tool text,
  user_id uuid,
  attempts int,
  input jsonb,
  previous_output_url text,
  run_ms int
)
language plpgsql
set search_path = ''
-- Planning would cost more than the work.
set plan_cache_mode = force_generic_plan
as
$$
#variable_conflict use_column
begin
  return query
  with claimed as (
    update unstuck.job_steps s
    set status = case when p_provider.synchronous then 'running' else 'starting' end,
      run = s.run + 1,
      claimed_at = p_now,
      sent_at = null,
      provider_task_id = null,
      checked_at = null,
      not_before = null,
      -- That the provider is full is said only while the step waits.
      error_code = nullif(s.error_code, 'PROVIDER_BUSY'),
      error_message = case when s.error_code <> 'PROVIDER_BUSY' then s.error_message end,
      attempts = greatest(s.attempts, 0) + p_provider.synchronous::int,
      started_at = case when p_provider.synchronous then p_now end,
      lease_until = p_now + case when p_provider.synchronous then i.lease else t.start_timeout end,
      deadline_at = least(
        p_now + case when p_provider.synchronous then t.run_timeout else t.start_timeout end,
        j.expires_at)
    from unnest(p_turns) with ordinality as p (job_id, step, user_id, nth, turn_at, "position")
    cross join unstuck_private.intervals() i,
      unstuck.jobs j,
      unstuck.tools t
    where s.job_id = p.job_id
      and s.step = p.step
      and j.id = s.job_id
      and t.tool = j.tool
    returning s.job_id, s.step, s.run, j.tool, j.user_id, s.attempts, s.input, s.deadline_at,
      p."position", greatest(least(p_now + t.run_timeout, j.expires_at), p_now) - p_now as run_for
  ), job as (
    update unstuck.jobs j
    set status = case
        when p_provider.synchronous or j.status = 'running' then 'running'
        else 'starting'
      end,
      started_at = case
        when p_provider.synchronous then coalesce(j.started_at, p_now)
        else j.started_at
      end,
      waited_in_queue = j.waited_in_queue
        or coalesce(j.queued_at, j.created_at) < p_now - interval '2 seconds',
      current_step = case when t.step_order = 'sequential' then c.step else j.current_step end,
      deadline_at = c.deadline_at
    from (
      select c.job_id, max(c.step) as step, min(c.deadline_at) as deadline_at
      from claimed c
      group by c.job_id
    ) c, unstuck.tools t
    where j.id = c.job_id
      and t.tool = j.tool
  )
  select c.job_id, c.step, c.run, c.tool, c.user_id, c.attempts, c.input,
    (
      select b.output_url
      from unstuck.job_steps b
      where b.job_id = c.job_id
        and b.step = c.step - 1
    ),
    least(ceil(extract(epoch from c.run_for) * 1000), 2147483647)::int
  from claimed c
  order by c."position";
end $$;

revoke all on function unstuck_private.steps_claim from public, anon, authenticated, service_role;
