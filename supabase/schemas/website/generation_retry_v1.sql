create or replace function unstuck.generation_retry_v1(
  p_job_id uuid,
  p_tool text,
  p_user_id uuid default null
)
returns table (
  outcome text,
  user_id uuid,
  status text,
  retries int,
  refunded bigint,
  balance bigint
)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_max int;
  v_now timestamptz;
  v_status text;
  v_refunded bigint := 0;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as(case when p_user_id is null then 'service' else 'user' end);
  v_job := unstuck_private.job_lock(p_job_id);
  if v_job.id is null
    or v_job.tool <> p_tool
    or v_job.user_id <> coalesce(p_user_id, v_job.user_id)
  then
    perform unstuck_private.refuse(404, 'not_found');
  end if;
  perform unstuck_private.refuse_final(v_job);
  select *
  into v_step
  from unstuck.job_steps s
  where s.job_id = p_job_id
    and s.step = 1
  for update;
  v_now := clock_timestamp();
  if not found
    or not unstuck_private.is_stale_attempt(v_step, v_now)
    or v_job.quarantined_at is not null
  then
    perform unstuck_private.refuse(
      409, 'in_progress',
      jsonb_build_object('status', unstuck_private.public_status(v_job.status)));
  end if;
  select t.attempt_max
  into v_max
  from unstuck.tools t
  where t.tool = p_tool;
  if greatest(v_step.attempts, v_job.retries + 1) >= v_max or v_job.expires_at <= v_now then
    select f.job_status, f.refunded
    into v_status, v_refunded
    from unstuck_private.website_fail(v_job, v_step) f;
  else
    perform unstuck_private.website_requeue(v_job, v_step, v_now);
  end if;
  return query
  select case when v_status is null then 'retried' else 'closed' end,
    j.user_id, j.status, j.retries, v_refunded,
    unstuck_private.balance_shown(j.user_id, j.tool)
  from unstuck.jobs j
  where j.id = p_job_id;
end $$;

comment on function unstuck.generation_retry_v1 is $c$
Caller: the website functions, for retryHistoryId. p_user_id null: the service calls, for the user
of the record.

Effect: puts a stale attempt back into the queue, free of charge, with retries + 1. outcome: retried
| closed (no attempt or no time left: the job failed and was refunded).

Refuses: not_found (also a job of another user or tool), already_final, in_progress (also a
quarantined job).

Replay: in_progress.
$c$;

revoke all on function unstuck.generation_retry_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generation_retry_v1 to service_role;
