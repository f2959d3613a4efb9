-- A row whose money does not agree with the ledger is kept for an operator. It blocks neither its user nor the others: its
-- steps end, so that they hold no slot and are not run, and the provider is told.
create or replace function unstuck_private.jobs_quarantine(p_ids uuid[], p_reason text) returns void
language sql
set search_path = ''
as
$$
  insert into unstuck.job_events (job_id, event, from_status, to_status, actor, detail)
  select j.id, 'quarantined', j.status, j.status, 'sweep', jsonb_build_object('reason', p_reason)
  from unstuck.jobs j where j.id = any (p_ids) and j.quarantined_at is null;
  update unstuck.job_steps s set status = 'failed', error_code = 'CREDIT_ERROR', error_message = 'CREDIT_ERROR: kept for an operator.',
    completed_at = clock_timestamp(), lease_until = null, checked_at = null, provider_cancel_due = unstuck_private.cancel_due_with(s)
  where s.job_id = any (p_ids) and not unstuck_private.is_final(s.status);
  update unstuck.jobs set quarantined_at = clock_timestamp(), exclusive_key = null where id = any (p_ids) and quarantined_at is null;
$$;

revoke all on function unstuck_private.jobs_quarantine from public, anon, authenticated, service_role;
