-- Returns the lines for which a refund of these jobs may be written: one for each step of a job
-- with the refund rule `per_step`, and one, without a step, for any other job. `share` is the
-- step's share of the debit; where the stored shares do not add up to the debit, as in rows that
-- others wrote, `share_of` computes them anew.
create or replace function unstuck_private.refund_lines(p_ids uuid[])
returns table (
  job_id uuid,
  user_id uuid,
  is_per_step boolean,
  debit bigint,
  refunded bigint,
  has_job_refund boolean,
  free_number int,
  step int,
  nth bigint,
  share bigint,
  without_result boolean,
  has_refund boolean
)
language sql
stable
as
$$
  select j.id, j.user_id, s.job_id is not null, l.debit, l.refunded, l.has_job_refund,
    l.free_number, s.step,
    row_number() over own_steps,
    case
      when sum(s.share) over own = l.debit then s.share
      else unstuck_private.share_of(
        l.debit, (count(*) over own)::int, (row_number() over own_steps)::int)
    end,
    s.status in ('failed', 'cancelled'),
    exists (
      select
      from unstuck.credit_entries e
      where e.job_id = j.id
        and e.step = s.step
        and e.kind = 'refund'
    )
  from unstuck_private.jobs_ledger(p_ids) l
  join unstuck.jobs j on j.id = l.job_id
  left join unstuck.job_steps s
    on j.refund_rule = 'per_step'
    and s.job_id = j.id
  window own as (partition by j.id), own_steps as (partition by j.id order by s.step)
$$;

revoke all on function unstuck_private.refund_lines from public, anon, authenticated, service_role;
