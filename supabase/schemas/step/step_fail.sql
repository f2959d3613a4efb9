-- A step that is given up: the whole job (rule all), or its own share (rule per_step). Account and job are locked.
create or replace function unstuck_private.step_fail(p_job unstuck.jobs, p_step int, p_code text, p_message text)
returns table (job_status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare v_share bigint := 0; v_open boolean; v_any boolean;
begin
  if p_job.refund_rule = 'all' then
    return query select c.status, c.refunded from unstuck_private.jobs_close(array[p_job.id], array['failed'], array[p_code], array[p_message]) c;
    return;
  end if;
  update unstuck.job_steps s set status = 'failed', error_code = p_code, error_message = p_code || ': ' || p_message,
    completed_at = clock_timestamp(), lease_until = null, provider_cancel_due = unstuck_private.cancel_due_with(s)
  where s.job_id = p_job.id and s.step = p_step returning s.share into v_share;
  select bool_or(not unstuck_private.is_final(s.status)), bool_or(s.status = 'completed') into v_open, v_any
  from unstuck.job_steps s where s.job_id = p_job.id;
  if not v_open then
    return query select c.status, c.refunded from unstuck_private.jobs_close(array[p_job.id],
      array[case when v_any then 'completed' else 'failed' end], array[p_code], array[p_message]) c;
    return;
  end if;
  if v_share > 0 and exists (select from unstuck.credit_entries e where e.job_id = p_job.id and e.kind = 'debit') then
    insert into unstuck.credit_entries (user_id, job_id, step, kind, amount, reason)
    values (p_job.user_id, p_job.id, p_step, 'refund', v_share, p_code);
    update unstuck.jobs set credits_refunded = credits_refunded + v_share where id = p_job.id;
  else
    v_share := 0;
  end if;
  -- Waiting siblings' time did not run while this one worked.
  update unstuck.job_steps s set deadline_at = least(clock_timestamp() + t.queue_ttl, p_job.expires_at)
  from unstuck.tools t where s.job_id = p_job.id and s.status = 'queued' and t.tool = p_job.tool;
  perform unstuck_private.job_sync_from_steps(array[p_job.id]);
  return query select 'running', v_share;
end $$;

revoke all on function unstuck_private.step_fail from public, anon, authenticated, service_role;
