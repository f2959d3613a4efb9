-- Records an admin's cancel, for `job_cancel_admin_v1`. It writes the event `admin_cancelled` with
-- the credits that the job's row showed before and those that the ledger shows now. `p_job` is the
-- row before the cancel; `p_refused` says why the refund failed, and is null where it did not.
--
-- Where the ledger agrees with the row now, the quarantine ends. Where it does not, or where a
-- refund failed, `quarantined_at` stays or is set: it tells the audit that an admin has seen the
-- job.
create or replace function unstuck_private.admin_cancel_record(
  p_job unstuck.jobs,
  p_refused text
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_job unstuck.jobs;
  v_debit numeric;
  v_refunded numeric;
begin
  select *
  into v_job
  from unstuck.jobs
  where id = p_job.id;
  select
    coalesce(-sum(e.amount) filter (where e.kind = 'debit'), 0),
    coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0)
  into v_debit, v_refunded
  from unstuck.credit_entries e
  where e.job_id = p_job.id
    and e.kind in ('debit', 'refund');
  insert into unstuck.job_events (job_id, event, from_status, to_status, actor, detail)
  values (
    p_job.id, 'admin_cancelled', p_job.status, v_job.status,
    nullif(current_setting('unstuck.actor', true), ''),
    jsonb_strip_nulls(jsonb_build_object(
      'row_charged', p_job.credits_charged,
      'row_refunded', p_job.credits_refunded,
      'ledger_debit', v_debit,
      'ledger_refunds', v_refunded,
      'quarantined_at', p_job.quarantined_at,
      'not_returned', p_refused)));
  update unstuck.jobs
  set quarantined_at = case
    when p_refused is not null or unstuck_private.has_ledger_mismatch(v_job) then
      coalesce(p_job.quarantined_at, clock_timestamp())
  end
  where id = p_job.id;
end $$;

revoke all on function unstuck_private.admin_cancel_record
from public, anon, authenticated, service_role;
