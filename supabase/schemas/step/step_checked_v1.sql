create or replace function unstuck.step_checked_v1(
  p_job_id uuid,
  p_step int,
  p_run bigint,
  p_answer text
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
  v_grace interval;
  v_now timestamptz;
  v_minutes int;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as('sweep');
  if p_answer not in ('running', 'no_answer') then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  begin
    v_job := unstuck_private.job_lock(p_job_id);
    v_step := unstuck_private.step_lock(p_job_id, p_step, p_run);
  exception when lock_not_available then
    return query
    select 'waiting', 0::bigint;
    return;
  end;
  if v_step.job_id is null or v_step.provider_done_at is not null then
    return query
    select 'stale', 0::bigint;
    return;
  end if;
  v_now := clock_timestamp();
  select i.grace
  into v_grace
  from unstuck_private.intervals() i;
  update unstuck.job_steps s set
    checked_at = v_now
  where s.job_id = p_job_id
    and s.step = p_step;
  if v_step.deadline_at > v_now
    or (
      p_answer = 'no_answer'
      and v_step.provider_task_id is not null
      and v_step.deadline_at + v_grace > v_now
    )
  then
    return query
    select 'waiting', 0::bigint;
    return;
  end if;
  v_minutes := unstuck_private.minutes_between(
    coalesce(v_step.sent_at, v_step.started_at, v_job.created_at),
    v_now
  );
  return query
  select 'failed', f.refunded
  from unstuck_private.step_fail_or_quarantine(
    v_job,
    p_step,
    'TIMEOUT',
    format('no result after %s.', unstuck_private.minutes_text(v_minutes))
  ) f;
end $$;

comment on function unstuck.step_checked_v1 is $c$
Caller: a healer, after it queried the provider about a step (p_answer: running | no_answer).

Effect: records when the provider was queried. Past the step's deadline it fails the step and
refunds: at once for running, after one grace for no_answer; the provider is then owed a cancel.
outcome: waiting (also where another transaction holds the job) | failed | stale (not the present
run, or the provider is done).

Refuses: bad_request for another answer.

Replay: stale once the step has failed.
$c$;

revoke all on function unstuck.step_checked_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.step_checked_v1 to service_role;
