-- Returns what these jobs are owed in the state that they are about to have, and says what the
-- ledger shows. The caller has locked the accounts (by id) and the jobs, and has closed the steps.
--
-- The ledger alone decides. Owed is the whole debit (rule `all`, failed or cancelled) or the
-- shares of the steps that ended without a result (rule `per_step`), less what came back before,
-- whoever wrote it. So the refunds of a job never add up to more than its debit.
--
-- Each entry stands under the step that it is for; a job's own has no step. What is left where
-- that entry exists already (a part was returned by hand, and an entry is never changed) is one
-- more refund, under step 0, then -1 and so on: a number that no step has and the unique index
-- knows. It stays a refund, so that the row, the ledger and the audit agree; an adjustment would
-- belong to no job.
create or replace function unstuck_private.jobs_refund(
  p_ids uuid[],
  p_statuses text[],
  p_reasons text[],
  p_give boolean default true
)
returns table (job_id uuid, debit bigint, refunded bigint, given bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
begin
  insert into unstuck.credit_accounts (user_id)
  select distinct j.user_id
  from unstuck.jobs j
  where j.id = any (p_ids)
    and not exists (select from unstuck.credit_accounts a where a.user_id = j.user_id)
    and unstuck_private.has_ledger_entries(j.id)
  order by 1
  on conflict do nothing;

  return query
  with job as (
    select j.id, j.user_id, n.status, n.reason, l.debit, l.refunded, l.has_own, l.free_step,
      case
        when exists (select from unstuck.job_steps s where s.job_id = j.id) then j.refund_rule
        else 'all'
      end as rule
    from unnest(p_ids, p_statuses, p_reasons) as n (id, status, reason)
    join unstuck.jobs j on j.id = n.id
    cross join lateral (
      select
        unstuck_private.clamp_to_bigint(
          coalesce(-sum(e.amount) filter (where e.kind = 'debit'), 0)) as debit,
        unstuck_private.clamp_to_bigint(
          coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0)) as refunded,
        coalesce(bool_or(e.kind = 'refund' and e.step is null), false) as has_own,
        least(coalesce(min(e.step) filter (where e.kind = 'refund'), 1), 1) - 1 as free_step
      from unstuck.credit_entries e
      where e.job_id = j.id
        and e.kind in ('debit', 'refund')
    ) l
  ), line as (
    -- Shares that do not add up to what was taken (rows written by others) are split anew.
    select b.*, s.step,
      row_number() over own_steps as nth,
      case
        when sum(s.share) over own = b.debit then s.share
        else unstuck_private.share_of(
          b.debit, (count(*) over own)::int, (row_number() over own_steps)::int)
      end as share,
      s.status in ('failed', 'cancelled') as without_result,
      exists (
        select
        from unstuck.credit_entries e
        where e.job_id = b.id
          and e.step = s.step
          and e.kind = 'refund'
      ) as has_entry
    from job b
    left join unstuck.job_steps s on b.rule = 'per_step' and s.job_id = b.id
    window own as (partition by b.id), own_steps as (partition by b.id order by s.step)
  ), summed as (
    select l.*,
      greatest(
        case
          when l.rule = 'per_step' then
            coalesce(sum(l.share) filter (where l.without_result) over own, 0)
          when l.status in ('failed', 'cancelled') then l.debit
          else 0
        end - l.refunded, 0) as rest,
      l.without_result and not l.has_entry as is_open,
      coalesce(sum(l.share) filter (where l.without_result and not l.has_entry) over own, 0)
        as open_shares,
      coalesce(sum(l.share) filter (where l.without_result and not l.has_entry) over (
        partition by l.id
        order by l.step
      ), 0) as open_so_far
    from line l
    window own as (partition by l.id)
  ), owed as (
    select s.id, s.user_id, s.reason, s.step,
      least(s.share, s.rest - s.open_so_far + s.share) as amount
    from summed s
    where s.is_open
      and s.rest > s.open_so_far - s.share
    union all
    select s.id, s.user_id, s.reason,
      case when s.rule = 'per_step' or s.has_own then s.free_step end,
      s.rest - s.open_shares
    from summed s
    where s.nth = 1
      and s.rest > s.open_shares
  ), running as (
    select o.*,
      sum(o.amount) over (
        partition by o.user_id
        order by o.id, o.step
        rows unbounded preceding
      ) as so_far
    from owed o
    where p_give
      and o.amount > 0
  ), entry as (
    insert into unstuck.credit_entries (
      user_id, job_id, step, kind, amount, balance_after, reason)
    select r.user_id, r.id, r.step, 'refund', r.amount, a.balance + r.so_far,
      coalesce(r.reason, 'refund')
    from running r
    join unstuck.credit_accounts a using (user_id)
    returning user_id, job_id, amount
  ), account as (
    update unstuck.credit_accounts a
    set balance = a.balance + t.total
    from (select user_id, sum(amount)::bigint as total from entry group by 1) t
    where a.user_id = t.user_id
  ), back as (
    select e.job_id, sum(e.amount)::bigint as amount
    from entry e
    group by 1
  )
  select b.id, b.debit, b.refunded, coalesce(k.amount, 0)
  from job b
  left join back k on k.job_id = b.id;
end $$;

revoke all on function unstuck_private.jobs_refund from public, anon, authenticated, service_role;
