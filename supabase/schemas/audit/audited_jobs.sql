-- Returns for each of these jobs what its invariants compare: its row, the sums of its steps, of
-- its ledger entries and of the refunds that are owed. It is a function of its own so that each sum
-- is computed once.
create or replace function unstuck_private.audited_jobs(p_jobs uuid[])
returns table (
  id uuid,
  user_id uuid,
  status text,
  credits_charged bigint,
  credits_refunded bigint,
  quarantined_at timestamptz,
  is_per_step boolean,
  is_final boolean,
  is_settled boolean,
  has_no_ledger boolean,
  steps bigint,
  live_steps bigint,
  delivered_share numeric,
  undelivered_share numeric,
  debit numeric,
  refunded numeric,
  owed numeric
)
language sql
stable
as
$$
  select j.id, j.user_id, j.status, j.credits_charged, j.credits_refunded, j.quarantined_at,
    j.refund_rule = 'per_step',
    unstuck_private.is_final(j.status),
    -- is_settled: an admin ended the job although its money does not agree, and the event
    -- `admin_cancelled` says so. No one can mend the ledger any more, so it is no violation.
    unstuck_private.is_final(j.status) and j.quarantined_at is not null,
    -- has_no_ledger: the ledger was deleted with its user, and the job was kept.
    exists (
      select from unstuck_private.removals r
      where r.user_id = j.user_id
        and r.ledger_removed_at >= j.created_at
    ),
    s.*, e.*, o.*
  from unnest(p_jobs) as n (id)
  join unstuck.jobs j on j.id = n.id
  cross join lateral (
    select count(*),
      count(*) filter (where not unstuck_private.is_final(st.status)),
      coalesce(sum(st.share) filter (where st.status = 'completed'), 0),
      coalesce(sum(st.share) filter (where st.status <> 'completed'), 0)
    from unstuck.job_steps st
    where st.job_id = j.id
  ) s
  cross join lateral (
    select coalesce(-sum(c.amount) filter (where c.kind = 'debit'), 0),
      coalesce(sum(c.amount) filter (where c.kind = 'refund'), 0)
    from unstuck.credit_entries c
    where c.job_id = j.id
      and c.kind in ('debit', 'refund')
  ) e
  cross join lateral (
    select coalesce(sum(r.amount), 0)
    from unstuck.refunds_owed r
    where r.job_id = j.id
  ) o
$$;

revoke all on function unstuck_private.audited_jobs from public, anon, authenticated, service_role;
