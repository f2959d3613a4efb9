-- Returns the wallet's receipt for the debit of this job; null without a debit or a receipt.
create or replace function unstuck_private.job_receipt(p_job_id uuid) returns jsonb
language sql
stable
as
$$
  select e.receipt
  from unstuck.credit_entries e
  where e.job_id = p_job_id
    and e.kind = 'debit'
$$;

revoke all on function unstuck_private.job_receipt from public, anon, authenticated, service_role;
