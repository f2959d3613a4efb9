create or replace function unstuck.job_requeue_v1(
  p_actor uuid,
  p_table text,
  p_job_id uuid,
  p_charge boolean,
  p_new_job_id uuid
)
returns table (job_id uuid, retried boolean, retry_of uuid, provider text)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
declare
  v_job unstuck.jobs;
  v_tool unstuck.tools;
  v_now timestamptz;
  v_balance bigint;
  v_price bigint := 0;
  v_live uuid;
  v_steps jsonb;
begin
  if not unstuck.has_role(p_actor, 'admin') then
    perform unstuck_private.refuse(403, 'forbidden');
  end if;
  perform unstuck_private.act_as('admin:' || p_actor);
  v_job := unstuck_private.job_lock(p_job_id);
  perform unstuck_private.refuse_other_table(v_job, p_table);
  select *
  into v_tool
  from unstuck.tools
  where tool = v_job.tool;
  v_now := clock_timestamp();
  if unstuck_private.is_live(v_job.status) then
    -- A quarantined job's steps have ended for good: an admin cancels it, then it can be retried.
    if v_job.status = 'pending'
      or v_job.quarantined_at is not null
      or not exists (
        select
        from unstuck.job_steps s
        where s.job_id = v_job.id
          and not unstuck_private.is_final(s.status)
          and (s.deadline_at <= v_now or s.lease_until <= v_now)
      )
    then
      perform unstuck_private.refuse(
        409, 'in_progress', jsonb_build_object('status', v_job.status));
    end if;
    -- Finished steps are kept; what is stuck starts over with fresh counters. Its old task, if
    -- any, is cancelled.
    update unstuck.jobs j
    set expires_at = v_now + unstuck_private.job_lifetime(j.tool, j.total_steps),
      deadline_at = v_now + v_tool.queue_ttl,
      retries = 0
    where j.id = v_job.id;
    update unstuck.job_steps s
    set status = 'queued',
      attempts = 0,
      rescues = 0,
      not_before = null,
      sent_at = null,
      started_at = null,
      claimed_at = null,
      lease_until = null,
      provider_cancel_due = unstuck_private.cancel_debt_with(s),
      provider_task_id = null,
      provider_done_at = null,
      run = s.run + 1,
      deadline_at = v_now + v_tool.queue_ttl
    where s.job_id = v_job.id
      and s.status in ('starting', 'running', 'queued');
    update unstuck.job_steps s
    set deadline_at = j.expires_at
    from unstuck.jobs j
    where j.id = s.job_id
      and s.job_id = v_job.id
      and s.status = 'blocked';
    perform unstuck_private.job_sync_from_steps(array[v_job.id]);
    insert into unstuck.job_events (job_id, event, from_status, to_status, actor)
    select j.id, 'job_requeued', v_job.status, j.status, 'admin:' || p_actor
    from unstuck.jobs j
    where j.id = v_job.id;
    return query
    select v_job.id, true, null::uuid, v_tool.provider;
    return;
  end if;
  -- A second click while the first click's job lives answers with that job.
  select j.id
  into v_live
  from unstuck.jobs j
  where j.retry_of = v_job.id
    and unstuck_private.is_live(j.status);
  if found then
    return query
    select v_live, false, v_job.id, v_tool.provider;
    return;
  end if;
  select jsonb_agg(s.input order by s.step)
  into v_steps
  from unstuck.job_steps s
  where s.job_id = v_job.id;
  if v_steps is null then
    perform unstuck_private.refuse(400, 'bad_request');
  end if;
  -- Old requests are emptied (retention): nothing is left to run again.
  if exists (
    select
    from unstuck.job_steps s
    where s.job_id = v_job.id
      and s.input = '{}'
  ) then
    perform unstuck_private.refuse(
      409, 'already_final',
      jsonb_build_object(
        'status', v_job.status,
        'refundedCredits', v_job.credits_refunded,
        'reason', 'its input is kept no longer'));
  end if;
  if exists (
    select
    from unstuck.jobs j
    where j.exclusive_key = v_tool.exclusive_group || ':' || v_job.user_id
      and j.status in ('queued', 'starting', 'running')
  ) then
    perform unstuck_private.refuse(409, 'active_job_exists');
  end if;
  v_balance := unstuck_private.account_lock(v_job.user_id);
  if p_charge then
    v_price := v_tool.credit_cost
      * case v_tool.priced_per when 'step' then jsonb_array_length(v_steps) else 1 end;
  end if;
  if v_balance < v_price then
    perform unstuck_private.refuse(
      402, 'insufficient_credits',
      jsonb_build_object('balance', v_balance, 'required', v_price));
  end if;
  if exists (select from unstuck.jobs j where j.id = p_new_job_id) then
    perform unstuck_private.refuse(409, 'idempotency_conflict');
  end if;
  perform unstuck_private.job_write(
    v_job.user_id, p_new_job_id, v_tool, v_job.session_id, v_job.input,
    coalesce(v_job.request_hash, 'retry'), v_steps, v_price, v_job.id);
  return query
  select p_new_job_id, false, v_job.id, v_tool.provider;
end $$;

comment on function unstuck.job_requeue_v1 is $c$
Caller: admin-retry-job.

A live job past its lease or deadline is requeued with fresh counters (retried); a final one
becomes a new job for the same user and input, free unless p_charge (retry_of).

Refuses: forbidden, bad_request, not_found, in_progress (also one that is quarantined: cancel it
first), active_job_exists, insufficient_credits, idempotency_conflict (the new id is taken).

Replay while the new job lives: that job.
$c$;

revoke all on function unstuck.job_requeue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_requeue_v1 to service_role;
