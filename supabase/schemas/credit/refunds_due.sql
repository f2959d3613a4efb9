-- Returns what is due to these jobs in the states that they are about to have. Each row with an
-- `amount` is an entry to write; its `step` is null for the whole job. Each job has at least one
-- row, whose `amount` is null where nothing is due.
--
-- The ledger alone decides. The whole debit is due under the rule `all` if the job fails or is
-- cancelled; under the rule `per_step` the shares of the steps that ended without a result are.
-- Every earlier refund is subtracted, whoever wrote it, so a job's refunds never exceed its debit.
--
-- No entry ever changes. So where the step or the job has an entry already, because a part was
-- refunded by hand, the rest is one more refund with a `free_number` as its step. It must be a
-- refund, because an adjustment belongs to no job: then row, ledger and audit agree.
create or replace function unstuck_private.refunds_due(p_ids uuid[], p_statuses text[])
returns table (
  job_id uuid,
  user_id uuid,
  debit bigint,
  refunded bigint,
  step int,
  amount bigint
)
language sql
stable
as
$$
  with line as materialized (
    select l.*,
      greatest(
        case
          when l.is_per_step then
            coalesce(sum(l.share) filter (where l.without_result) over own, 0)
          when n.status in ('failed', 'cancelled') then l.debit
          else 0
        end - l.refunded, 0) as rest,
      l.without_result and not l.has_refund as is_open,
      coalesce(sum(l.share) filter (where l.without_result and not l.has_refund) over own, 0)
        as open_shares,
      coalesce(sum(l.share) filter (where l.without_result and not l.has_refund) over (
        partition by l.job_id
        order by l.step
      ), 0) as open_so_far
    from unstuck_private.refund_lines(p_ids) l
    join unnest(p_ids, p_statuses) as n (id, status) on n.id = l.job_id
    window own as (partition by l.job_id)
  )
  select l.job_id, l.user_id, l.debit, l.refunded, l.step,
    least(l.share, l.rest - l.open_so_far + l.share)
  from line l
  where l.is_open
    and l.rest > l.open_so_far - l.share
    and l.share > 0
  union all
  select l.job_id, l.user_id, l.debit, l.refunded,
    case when l.is_per_step or l.has_job_refund then l.free_number end,
    case when l.rest > l.open_shares then l.rest - l.open_shares end
  from line l
  where l.nth = 1
$$;

revoke all on function unstuck_private.refunds_due from public, anon, authenticated, service_role;
