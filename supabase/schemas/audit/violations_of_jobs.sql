-- Returns the violations among these jobs, one row each.
create or replace function unstuck_private.violations_of_jobs(p_jobs uuid[])
returns table (invariant text, job_id uuid, detail text)
language sql
stable
as
$$
  with job as materialized (
    select *
    from unstuck_private.audited_jobs(p_jobs)
  )
  select 'steps_final_iff_job_final', j.id,
    format('job is %s with %s of %s steps live', j.status, j.live_steps, j.steps)
  from job j
  where j.steps > 0
    and (
      j.is_final and j.live_steps > 0
      or not j.is_final and j.live_steps = 0 and j.quarantined_at is null
    )
  union all
  select 'cancelled_request_never_runs', j.id,
    format('job is %s, its user cancelled it at %s', j.status, c.at)
  from job j
  join unstuck.cancelled_requests c on c.user_id = j.user_id and c.job_id = j.id
  where j.status in ('queued', 'starting', 'running')
  union all
  select 'refunds_within_debit', j.id, format('refunded %s of %s', j.refunded, j.debit)
  from job j
  where j.refunded > j.debit and not j.is_settled
  union all
  select 'job_money_equals_ledger', j.id,
    format('row: %s charged, %s refunded; ledger: %s, %s',
      j.credits_charged, j.credits_refunded, j.debit, j.refunded)
  from job j
  where (j.credits_charged <> j.debit or j.credits_refunded <> j.refunded)
    and not j.has_no_ledger
    and not j.is_settled
  union all
  select 'final_refund_exact', j.id,
    format('%s with %s refunded of %s', j.status, j.refunded, j.debit)
  from job j
  -- Of a settled job, only credits that could not be refunded are a violation.
  where (j.quarantined_at is null or j.is_settled and j.refunded < j.debit)
    and not j.has_no_ledger
    and case
      -- Shares in rows of others may not add up: finalising such a job computes them anew.
      when j.is_per_step and j.delivered_share + j.undelivered_share <> j.debit then false
      when j.status = 'completed' then
        j.refunded + j.owed <> case when j.is_per_step then j.undelivered_share else 0 end
      when j.is_final then
        j.refunded + j.owed <> j.debit
          - case when j.is_per_step and j.debit > 0 then j.delivered_share else 0 end
      else false
    end
  union all
  select 'quarantined', j.id, format('live %s, quarantined at %s', j.status, j.quarantined_at)
  from job j
  where j.quarantined_at is not null and not j.is_final
$$;

revoke all on function unstuck_private.violations_of_jobs
from public, anon, authenticated, service_role;
