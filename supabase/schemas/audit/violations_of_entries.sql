-- Returns the violations among the entries of `audited_entries`: an entry whose job does not exist,
-- and an adjustment that gives credits within an hour of a refund of the same user.
create or replace function unstuck_private.violations_of_entries(
  p_jobs uuid[],
  p_users uuid[],
  p_entries bigint[]
)
returns table (invariant text, entry_id bigint, user_id uuid, detail text)
language sql
stable
as
$$
  with entry as materialized (
    select *
    from unstuck_private.audited_entries(p_jobs, p_users, p_entries)
  ), adjustment as (
    select e.id, e.user_id, e.amount, e.at
    from entry e
    where e.kind = 'adjustment' and e.amount > 0
    union
    select a.id, a.user_id, a.amount, least(greatest(a.created_at, '1000-01-01'), '9000-01-01')
    from entry e
    join unstuck.credit_entries a on a.user_id = e.user_id and a.kind = 'adjustment'
    where e.kind = 'refund'
      and a.amount > 0
      and a.created_at between e.at - interval '1 hour' and e.at + interval '1 hour'
  )
  select 'entry_without_job', e.id, e.user_id,
    format('%s of %s for job %s', e.kind, e.amount, e.job_id)
  from entry e
  where (e.kind = 'refund' or e.kind = 'debit' and e.job_id is not null)
    and not exists (select from unstuck.jobs j where j.id = e.job_id)
    and not exists (
      select from unstuck_private.removals r
      where r.user_id = e.user_id and r.jobs_removed_at >= e.at
    )
  union all
  -- Of any amount: older code refunds the whole price where only a share was due. An adjustment
  -- that takes it back settles it by name, because older code also takes for reasons of its own.
  select 'adjustment_beside_refund', a.id, a.user_id,
    format('adjustment of %s near the refund of job %s', a.amount, r.job_id)
  from adjustment a
  cross join lateral (
    select c.job_id
    from unstuck.credit_entries c
    where c.user_id = a.user_id
      and c.kind = 'refund'
      and c.created_at between a.at - interval '1 hour' and a.at + interval '1 hour'
    order by c.id desc
    limit 1
  ) r
  where not exists (
    select from unstuck.credit_entries x
    where x.user_id = a.user_id
      and x.kind = 'adjustment'
      and x.amount = -a.amount
      and x.reason = 'settles ' || a.id
  )
$$;

revoke all on function unstuck_private.violations_of_entries
from public, anon, authenticated, service_role;
