-- True when the job's row and the ledger disagree about what was refunded, or when more was
-- refunded than taken. Healers quarantine such a job: none moves credits on a guess.
create or replace function unstuck_private.has_ledger_mismatch(p_job unstuck.jobs) returns boolean
language sql
stable
set search_path = ''
as
$$
  select p_job.credits_refunded <> l.refunded or l.refunded > l.debit
  from (
    select
      coalesce(-sum(e.amount) filter (where e.kind = 'debit'), 0) as debit,
      coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0) as refunded
    from unstuck.credit_entries e
    where e.job_id = p_job.id
      and e.kind in ('debit', 'refund')
  ) l
$$;

revoke all on function unstuck_private.has_ledger_mismatch
from public, anon, authenticated, service_role;
