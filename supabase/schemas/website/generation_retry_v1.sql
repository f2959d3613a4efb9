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
  v_actor text := case when p_user_id is null then 'service' else 'user' end;
  v_job unstuck.jobs;
  v_step unstuck.job_steps;
  v_max int;
  v_now timestamptz;
  v_status text;
  v_refunded bigint := 0;
begin
  perform unstuck_private.act_as(v_actor);
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
      409, 'in_progress', jsonb_build_object('status', v_job.status));
  end if;
  select t.attempt_max
  into v_max
  from unstuck.tools t
  where t.tool = p_tool;
  if v_step.attempts >= v_max or v_job.expires_at <= v_now then
    select f.job_status, f.refunded
    into v_status, v_refunded
    from unstuck_private.website_fail(v_job, v_step) f;
  else
    -- Another attempt of the same paid job; what it is about is what the record says.
    update unstuck.jobs
    set retries = retries + 1
    where id = p_job_id;
    update unstuck.job_steps s
    set status = 'queued',
      input = v_job.input || s.input,
      lease_until = null,
      claimed_at = null,
      sent_at = null,
      started_at = null,
      not_before = null,
      checked_at = null,
      deadline_at = least(v_now + t.queue_ttl, v_job.expires_at)
    from unstuck.tools t
    where s.job_id = p_job_id
      and s.step = 1
      and t.tool = p_tool;
    perform unstuck_private.job_sync_from_steps(array[p_job_id]);
    insert into unstuck.job_events (
      job_id, step, run, event, from_status, to_status, actor, detail)
    values (
      p_job_id, 1, v_step.run, 'website_retried', 'running', 'queued', v_actor,
      jsonb_build_object('retry', v_job.retries + 1));
  end if;
  return query
  select case when v_status is null then 'retried' else 'closed' end,
    j.user_id, j.status, j.retries, v_refunded, coalesce(a.balance, 0)
  from unstuck.jobs j
  left join unstuck.credit_accounts a using (user_id)
  where j.id = p_job_id;
end $$;

comment on function unstuck.generation_retry_v1 is $c$
Caller: the website functions, for retryHistoryId (p_user_id null: the service; the user is the
record's own).

A stale attempt goes back to the queue, free, retries + 1. outcome retried | closed (no attempt
left: failed and refunded).

Refuses: not_found (also another's or another tool's), already_final, in_progress (also one that
is quarantined).

Replay: in_progress.
$c$;

revoke all on function unstuck.generation_retry_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.generation_retry_v1 to service_role;
