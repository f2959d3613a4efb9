-- Closes live jobs with everything that belongs to it in one statement: steps, refunds, balances, the rows themselves.
-- The caller has locked the accounts (by id) and then the jobs. What the ledger shows is what is returned.
create or replace function unstuck_private.jobs_close(p_ids uuid[], p_statuses text[], p_codes text[], p_messages text[])
returns table (job_id uuid, tool text, status text, refunded bigint)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
declare v_now timestamptz := clock_timestamp();
begin
  insert into unstuck.credit_accounts (user_id)
  select distinct j.user_id from unstuck.jobs j where j.id = any (p_ids) order by 1
  on conflict do nothing;
  return query
  with closing as (
    select j.id, j.user_id, j.tool, c.status, c.code, c.message,
      case when exists (select from unstuck.job_steps s where s.job_id = j.id) then j.refund_rule else 'all' end as rule,
      coalesce(-l.debit, 0)::bigint as debit, coalesce(l.refunded, 0)::bigint as refunded
    from unnest(p_ids, p_statuses, p_codes, p_messages) as c (id, status, code, message)
    join unstuck.jobs j on j.id = c.id
    left join lateral (
      select sum(e.amount) filter (where e.kind = 'debit') as debit, sum(e.amount) filter (where e.kind = 'refund') as refunded
      from unstuck.credit_entries e where e.job_id = j.id and e.kind in ('debit', 'refund')
    ) l on true
    where unstuck_private.is_live(j.status)
  ), step_closed as (
    update unstuck.job_steps s set
      status = case c.status when 'cancelled' then 'cancelled' else 'failed' end,
      error_code = coalesce(c.code, 'CANCELLED'), error_message = coalesce(c.code, 'CANCELLED') || ': ' || c.message, completed_at = v_now, lease_until = null, checked_at = null,
      provider_cancel_due = unstuck_private.cancel_due_with(s)
    from closing c
    where s.job_id = c.id and not unstuck_private.is_final(s.status)
    returning s.job_id
  ), part as (
    -- Shares that do not add up to what was taken (rows written by others) are split anew.
    select c.id, c.user_id, s.step, s.status, case when sum(s.share) over job = c.debit then s.share
      else unstuck_private.share_of(c.debit, (count(*) over job)::int, (row_number() over (partition by s.job_id order by s.step))::int) end as share
    from closing c join unstuck.job_steps s on s.job_id = c.id
    where c.rule = 'per_step' and c.debit > 0
    window job as (partition by s.job_id)
  ), owed as (
    select c.id, c.user_id, null::int as step, c.debit - c.refunded as amount
    from closing c where c.rule = 'all' and c.status in ('failed', 'cancelled') and c.debit > c.refunded
    union all
    select c.id, c.user_id, c.step, c.share
    from part c
    where c.status <> 'completed' and c.share > 0
      and not exists (select from unstuck.credit_entries e where e.job_id = c.id and e.step = c.step and e.kind = 'refund')
  ), running as (
    select o.*, sum(o.amount) over (partition by o.user_id order by o.id, o.step rows unbounded preceding) as so_far from owed o
  ), entry as (
    insert into unstuck.credit_entries (user_id, job_id, step, kind, amount, balance_after, reason)
    select r.user_id, r.id, r.step, 'refund', r.amount, a.balance + r.so_far, coalesce(c.code, 'refund')
    from running r join closing c using (id) join unstuck.credit_accounts a on a.user_id = r.user_id
    returning user_id, job_id, amount
  ), account as (
    update unstuck.credit_accounts a set balance = a.balance + t.total
    from (select user_id, sum(amount)::bigint as total from running group by 1) t
    where a.user_id = t.user_id
    returning a.user_id
  ), back as (
    select e.job_id, sum(e.amount)::bigint as amount from entry e group by 1
  ), closed as (
    update unstuck.jobs j set
      status = c.status,
      credits_charged = c.debit,
      credits_refunded = c.refunded + coalesce(b.amount, 0),
      error_code = case when c.status <> 'completed' then c.code end,
      error_message = case when c.status <> 'completed' then c.code || ': ' || c.message || case when coalesce(b.amount, 0) > 0 then format(' %s credits were returned.', b.amount) else '' end end,
      current_step = case when c.status = 'completed' then j.total_steps else j.current_step end,
      completed_at = v_now, deadline_at = least(j.deadline_at, v_now)
    from closing c left join back b on b.job_id = c.id
    where j.id = c.id
    returning j.id, j.tool, j.status, coalesce(b.amount, 0) as amount
  )
  select closed.id, closed.tool, closed.status, closed.amount from closed;
end $$;

revoke all on function unstuck_private.jobs_close from public, anon, authenticated, service_role;
