-- Does the work of `jobs_refund` where an adapter holds the balances: one refund after the other. A
-- refund that the wallet does not take is owed; it stops neither the other refunds nor the end of
-- its job.
create or replace function unstuck_private.jobs_refund_each(
  p_ids uuid[],
  p_statuses text[],
  p_reasons text[],
  p_refund boolean
)
returns table (job_id uuid, debit bigint, refunded bigint, given bigint)
language plpgsql
set search_path = ''
as
$$
declare
  v_due record;
  v_given bigint;
begin
  if p_refund then
    -- What is owed of an earlier step is not in the ledger, so it is due once more.
    delete from unstuck.refunds_owed o
    where o.job_id = any (p_ids);
  end if;
  for v_due in
    select d.job_id, d.debit, d.refunded, d.step, j as job,
      case when p_refund then d.amount end as amount,
      coalesce(n.reason, 'refund') as reason
    from unstuck_private.refunds_due(p_ids, p_statuses) d
    join unnest(p_ids, p_reasons) as n (id, reason) on n.id = d.job_id
    join unstuck.jobs j on j.id = d.job_id
    order by d.user_id, d.job_id, d.step
  loop
    v_given := 0;
    if v_due.amount is not null then
      v_given := unstuck_private.refund_ask(
        v_due.job, v_due.step, v_due.amount, v_due.reason);
    end if;
    return query select v_due.job_id, v_due.debit, v_due.refunded, v_given;
  end loop;
end $$;

revoke all on function unstuck_private.jobs_refund_each
from public, anon, authenticated, service_role;
