create or replace function unstuck.step_requeue_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_kind text,
  p_delay_ms int,
  p_error_code text,
  p_error_message text
)
returns table (outcome text, refunded bigint)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_tool unstuck.tools;
  v_delay interval := make_interval(secs => greatest(p_delay_ms, 0) / 1000.0);
  v_at timestamptz;
  v_code text := case when p_kind = 'capacity' then 'PROVIDER_BUSY' else p_error_code end;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('worker');
  if p_kind not in ('capacity', 'transient') then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  v_job := unstuck_private.job_lock(p_job_id);
  v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  -- A step that the provider is done with is never requeued.
  if v_step.job_id is null or v_step.provider_done_at is not null then
    return query
    select 'stale', 0::bigint;
    return;
  end if;
  select t.*
  into v_tool
  from unstuck.tools t
  where t.tool = v_job.tool;
  v_at := clock_timestamp() + v_delay;
  if v_at >= v_job.expires_at
    or (p_kind = 'transient' and v_step.attempts >= v_tool.attempt_max)
  then
    return query
    select 'failed', f.refunded
    from unstuck_private.step_fail_or_quarantine(v_job, p_step, p_error_code, p_error_message) f;
  else
    update unstuck.job_steps s set
      status = 'queued',
      sent_at = null,
      started_at = null,
      claimed_at = null,
      lease_until = null,
      provider_task_id = null,
      not_before = case when p_delay_ms > 0 then v_at end,
      -- A refusal for capacity is no attempt.
      attempts = greatest(s.attempts - (p_kind = 'capacity')::int, 0),
      error_code = v_code,
      error_message = v_code || ': ' || p_error_message,
      deadline_at = least(v_at + v_tool.queue_ttl, v_job.expires_at)
    where s.job_id = p_job_id
      and s.step = p_step;
    perform unstuck_private.job_sync_from_steps(array[p_job_id]);
    return query
    select 'queued', 0::bigint;
  end if;
  -- In the order in which the claim takes these locks, and after everything that may wait.
  if p_kind = 'capacity' then
    perform unstuck_private.slot_limit_fall(v_step, v_delay);
  end if;
end $$;

comment on function unstuck.step_requeue_v1 is $c$
Caller: a worker whose submission the provider refused for capacity, or failed in a way that may
pass (p_kind: capacity | transient).

Effect: puts the step back into the queue until p_delay_ms have passed, and frees its slot. Past
attempt_max or expires_at it fails the step and refunds instead. capacity: the step keeps its turn
and waits with the code PROVIDER_BUSY; if it was sent, the provider's learned limit falls to what
the provider took, so that a freed slot, or the next probe, starts the step. outcome: queued |
failed | stale (not the present run, or the provider is done).

Refuses: bad_request for another kind.

Replay: stale.
$c$;

revoke all on function unstuck.step_requeue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_requeue_v1 to service_role;
