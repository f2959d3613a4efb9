-- What the ledger shows of these jobs: the debit, the refunds, whether a refund of the whole job
-- was written already, and a number for one more refund that no step has (0, then -1 and so on).
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
