-- The wallet's receipt of the debit of this job.
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
