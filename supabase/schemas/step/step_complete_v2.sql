create or replace function unstuck.step_complete_v2(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_output jsonb,
  p_output_url text
)
returns table (outcome text, job_status text, refunded bigint, may_start int)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
-- However few rows the statistics know, they are read by their indexes.
set enable_seqscan = off
set jit = off
as
$$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_now timestamptz;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  v_job := unstuck_private.job_lock(p_job_id);
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  if v_step.status is distinct from 'running' then
    return query
    select
      case
        when exists (
          select from unstuck.job_steps s
          where s.job_id = p_job_id
            and s.step = p_step
            and s.run >= p_run
            and unstuck_private.is_final(s.status)
        ) then 'late'
        else 'stale'
      end,
      v_job.status,
      0::bigint,
      0;
    return;
  end if;
  v_now := clock_timestamp();
  update unstuck.job_steps s set
    status = 'completed',
    completed_at = v_now,
    provider_done_at = coalesce(s.provider_done_at, v_now),
    lease_until = null,
    output = coalesce(p_output, s.output),
    output_url = p_output_url,
    error_code = null,
    error_message = null
  where s.job_id = p_job_id
    and s.step = p_step;
  perform unstuck_private.circuit_close(v_step, true);
  perform unstuck_private.webhooks_apply(p_job_id, p_step, p_run);
  if not exists (
    select from unstuck.job_steps s
    where s.job_id = p_job_id
      and not unstuck_private.is_final(s.status)
  ) then
    return query
    select 'completed', c.status, c.refunded, unstuck_private.may_start(v_step.provider)
    from unstuck_private.jobs_finalise(
      array[p_job_id],
      array['completed'],
      array[null::text],
      array[null::text],
      p_output => p_output,
      p_output_url => p_output_url
    ) c;
    return;
  end if;
  -- Let a chain's next step queue. Restart the queue TTL of queued siblings: it is paused while
  -- another step of the job works.
  update unstuck.job_steps s set
    status = 'queued',
    deadline_at = least(v_now + t.queue_ttl, v_job.expires_at)
  from unstuck.tools t
  where s.job_id = p_job_id
    and (s.status = 'queued' or (s.step = p_step + 1 and s.status = 'blocked'))
    and t.tool = v_job.tool;
  perform unstuck_private.job_sync_from_steps(array[p_job_id]);
  return query
  select 'completed', 'running', 0::bigint, unstuck_private.may_start(v_step.provider);
end $$;

comment on function unstuck.step_complete_v2 is $c$
Caller: a worker, after it stored the step's result.

Effect: completes the step and marks its webhooks as applied. The last step completes the job; any
other lets the next step of a chain queue. At a synchronous provider it closes the circuits of
provider and tool. outcome: completed | late (the step is final) | stale (not the present run, or
not running). may_start: how many waiting steps a claim would take now.

Refuses: nothing.

Replay: late.
$c$;

revoke all on function unstuck.step_complete_v2 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_complete_v2 to service_role;
