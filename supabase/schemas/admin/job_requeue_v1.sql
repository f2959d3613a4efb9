create or replace function unstuck.job_requeue_v1(
  p_actor uuid,
  p_table text,
  p_job_id uuid,
  p_charge boolean,
  p_new_job_id uuid,
  p_reason text default null
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
  v_retry record;
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, p_reason);
  v_job := unstuck_private.job_lock(p_job_id);
  perform unstuck_private.refuse_other_table(v_job, p_table);
  v_retry := unstuck_private.job_retry(v_job, p_charge, p_new_job_id);
  if v_retry.is_new then
    perform unstuck_private.admin_log_write(
      'job_retried',
      p_job_id::text,
      jsonb_build_object('status', v_job.status),
      jsonb_build_object('job', v_retry.job_id, 'charge', coalesce(p_charge, false))
    );
  end if;
  return query
  select v_retry.job_id, v_retry.job_id = v_job.id, nullif(v_job.id, v_retry.job_id), t.provider
  from unstuck.tools t
  where t.tool = v_job.tool;
end $$;

comment on function unstuck.job_requeue_v1 is $c$
Caller: admin-retry-job. The role of p_actor is read in the same transaction.

Effect: a live job past its lease or deadline goes back to the queue with fresh counters: retried =
true. A final one becomes a new job, p_new_job_id, of the same user with the same input, free of
charge unless p_charge: retry_of names the old one. It is a row of admin_log.

Refuses: forbidden, bad_request, not_found, in_progress (also a quarantined job: cancel it first),
already_final (its input is kept no longer), active_job_exists, insufficient_credits,
idempotency_conflict (the new id is taken).

Replay: the same new id answers with its job; so does any other, while a retry is live.
$c$;

revoke all on function unstuck.job_requeue_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.job_requeue_v1 to service_role;
