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
  v_live uuid;
  v_now timestamptz;
begin
  perform unstuck_private.refuse_other_deployment();
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
    -- The steps of a quarantined job have ended: an admin cancels it first, then retries it.
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
    perform unstuck_private.job_restart(v_job, v_tool, v_now);
    return query
    select v_job.id, true, null::uuid, v_tool.provider;
    return;
  end if;
  select j.id
  into v_live
  from unstuck.jobs j
  where j.retry_of = v_job.id
    and unstuck_private.is_live(j.status);
  if not found then
    perform unstuck_private.job_repeat(v_job, v_tool, p_charge, p_new_job_id);
  end if;
  return query
  select coalesce(v_live, p_new_job_id), false, v_job.id, v_tool.provider;
end $$;

comment on function unstuck.job_requeue_v1 is $c$
Caller: admin-retry-job. The role of p_actor is read in the same transaction.

Effect: a live job past its lease or deadline goes back to the queue with fresh counters: retried =
true. A final one becomes a new job, p_new_job_id, of the same user with the same input, free of
charge unless p_charge: retry_of names the old one.

Refuses: forbidden, bad_request, not_found, in_progress (also a quarantined job: cancel it first),
already_final (its input is kept no longer), active_job_exists, insufficient_credits,
idempotency_conflict (the new id is taken).

Replay: while the new job is live: that job.
$c$;

revoke all on function unstuck.job_requeue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_requeue_v1 to service_role;
