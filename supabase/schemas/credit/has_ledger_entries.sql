-- True when credits were taken or refunded for this job.
create or replace function unstuck_private.has_ledger_entries(p_job_id uuid) returns boolean
language sql
stable
set search_path = ''
as
$$
  select exists (
    select
    from unstuck.credit_entries e
    where e.job_id = p_job_id
      and e.kind in ('debit', 'refund')
  )
$$;

revoke all on function unstuck_private.has_ledger_entries
from public, anon, authenticated, service_role;
