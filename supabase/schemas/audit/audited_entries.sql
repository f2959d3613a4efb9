-- Returns the ledger entries to audit for these jobs, users and entries: the entries themselves,
-- those with a stored violation of one of the users, and the debits and refunds of jobs that no
-- longer exist. `at` is when the entry was written, limited to the years 1000 to 9000: a time that
-- was written by hand may be so far off that no hour can be added to it.
create or replace function unstuck_private.audited_entries(
  p_jobs uuid[],
  p_users uuid[],
  p_entries bigint[]
)
returns table (id bigint, user_id uuid, kind text, amount bigint, job_id uuid, at timestamptz)
language sql
stable
as
$$
  select e.id, e.user_id, e.kind, e.amount, e.job_id,
    least(greatest(e.created_at, '1000-01-01'), '9000-01-01')
  from (
    select unnest(p_entries)
    union
    select f.entry_id
    from unnest(p_users) as n (id)
    join unstuck.violations_found f on f.user_id = n.id
    union
    select c.id
    from unnest(p_jobs) as n (id)
    join unstuck.credit_entries c on c.job_id = n.id and c.kind in ('debit', 'refund')
    where not exists (select from unstuck.jobs j where j.id = n.id)
  ) as n (id)
  join unstuck.credit_entries e on e.id = n.id
$$;

revoke all on function unstuck_private.audited_entries
from public, anon, authenticated, service_role;
