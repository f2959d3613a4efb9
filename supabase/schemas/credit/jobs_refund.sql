-- Writes the refunds that `refunds_due` finds for these jobs in the states that they are about to
-- have. Returns for each job its debit, what was refunded before and what is refunded now; without
-- `p_refund` it refunds nothing and returns 0. The caller has locked the accounts (by id) and the
-- jobs, and has ended the steps.
--
-- The balances of the built-in wallet are written here, for all jobs at once; an adapter's wallet
-- is asked for one refund after the other (`jobs_refund_each`).
create or replace function unstuck_private.jobs_refund(
  p_ids uuid[],
  p_statuses text[],
  p_reasons text[],
  p_refund boolean default true
)
returns table (job_id uuid, debit bigint, refunded bigint, given bigint)
language plpgsql
set search_path = ''
-- Planning would cost more than the work on a few jobs.
set plan_cache_mode = force_generic_plan
as
$$
#variable_conflict use_column
begin
  if cardinality(p_ids) > 10 then
    perform set_config('plan_cache_mode', 'force_custom_plan', true);
  end if;
  perform unstuck_private.accounts_make(p_ids);

  -- Nothing is due of a job that is completed with every step.
  if p_statuses <@ array['completed']
    and not exists (
      select from unstuck.job_steps s
      where s.job_id = any (p_ids)
        and s.status in ('failed', 'cancelled')
    )
  then
    return query
    select l.job_id, l.debit, l.refunded, 0::bigint
    from unstuck_private.jobs_ledger(p_ids) l;
    return;
  end if;

  if unstuck_private.has_adapter() then
    return query
    select e.job_id, e.debit, e.refunded, sum(e.given)::bigint
    from unstuck_private.jobs_refund_each(p_ids, p_statuses, p_reasons, p_refund) e
    group by 1, 2, 3;
    return;
  end if;

  return query
  with due as materialized (
    select *
    from unstuck_private.refunds_due(p_ids, p_statuses)
  ), entry as (
    insert into unstuck.credit_entries (
      user_id, job_id, step, kind, amount, balance_after, reason)
    select d.user_id, d.job_id, d.step, 'refund', d.amount,
      a.balance + sum(d.amount) over (
        partition by d.user_id
        order by d.job_id, d.step
        rows unbounded preceding
      ),
      coalesce(n.reason, 'refund')
    from due d
    join unnest(p_ids, p_reasons) as n (id, reason) on n.id = d.job_id
    join unstuck.credit_accounts a using (user_id)
    where p_refund
      and d.amount is not null
    returning user_id, amount
  ), account as (
    update unstuck.credit_accounts a
    set balance = a.balance + t.total
    from (
      select user_id, sum(amount)::bigint as total
      from entry
      group by 1
    ) t
    where a.user_id = t.user_id
  )
  select d.job_id, d.debit, d.refunded,
    coalesce(sum(d.amount) filter (where p_refund), 0)::bigint
  from due d
  group by d.job_id, d.debit, d.refunded;
end $$;

revoke all on function unstuck_private.jobs_refund from public, anon, authenticated, service_role;
