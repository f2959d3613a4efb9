-- The row and the ledger do not say the same of what came back, or more came back than was taken.
-- No healer moves money on a guess: such a row is quarantined.
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
