-- Returns what the ledger shows of each of these jobs, in credits: its debit, the sum of its
-- refunds, and whether the whole job has a refund. `free_number` is a value of `step` that no
-- refund of the job has, for one more refund: 0, then -1 and so on.
create or replace function unstuck_private.jobs_ledger(p_ids uuid[])
returns table (
  job_id uuid,
  debit bigint,
  refunded bigint,
  has_job_refund boolean,
  free_number int
)
language sql
stable
as
$$
  select n.id, l.*
  from unnest(p_ids) as n (id)
  cross join lateral (
    select
      unstuck_private.clamp_to_bigint(
        coalesce(-sum(e.amount) filter (where e.kind = 'debit'), 0)),
      unstuck_private.clamp_to_bigint(
        coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0)),
      coalesce(bool_or(e.kind = 'refund' and e.step is null), false),
      least(coalesce(min(e.step) filter (where e.kind = 'refund'), 1), 1) - 1
    from unstuck.credit_entries e
    where e.job_id = n.id
      and e.kind in ('debit', 'refund')
  ) l
$$;

revoke all on function unstuck_private.jobs_ledger from public, anon, authenticated, service_role;
