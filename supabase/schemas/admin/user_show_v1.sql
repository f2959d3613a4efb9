create or replace function unstuck.user_show_v1(p_actor uuid, p_user_id uuid)
returns table (account jsonb, jobs jsonb, ledger jsonb, debts jsonb, purchases jsonb)
language plpgsql
security definer
set search_path = ''
set statement_timeout = '10s'
as
$$
#variable_conflict use_column
begin
  perform unstuck_private.refuse_other_deployment();
  perform unstuck_private.act_as_admin(p_actor, null);
  account := unstuck_private.user_summary(p_user_id);
  jobs := (
    select coalesce(jsonb_agg(unstuck_private.job_summary(j) order by j.created_at desc), '[]')
    from (
      select *
      from unstuck.jobs o
      where o.user_id = p_user_id
      order by o.created_at desc
      limit 100
    ) j
  );
  ledger := (
    select coalesce(
      jsonb_agg(
        jsonb_build_object(
          'id', e.id, 'at', e.created_at, 'kind', e.kind, 'amount', e.amount,
          'balanceAfter', e.balance_after, 'jobId', e.job_id, 'reason', e.reason,
          'actor', e.actor)
        order by e.id desc),
      '[]')
    from (
      select *
      from unstuck.credit_entries o
      where o.user_id = p_user_id
      order by o.id desc
      limit 200
    ) e
  );
  debts := (
    select coalesce(
      jsonb_agg(
        jsonb_build_object(
          'at', d.created_at, 'amount', d.amount, 'settled', d.settled,
          'purchaseId', d.purchase_id)
        order by d.created_at),
      '[]')
    from unstuck.credit_debts d
    where d.user_id = p_user_id
  );
  purchases := (
    select coalesce(
      jsonb_agg(
        jsonb_build_object(
          'id', p.id, 'seller', p.seller, 'pack', p.pack, 'credits', p.credits,
          'granted', p.granted, 'taken', p.taken)),
      '[]')
    from unstuck.purchases p
    where p.user_id = p_user_id
  );
  return next;
end $$;

comment on function unstuck.user_show_v1 is $c$
Caller: admin-users. The role of p_actor is read in the same transaction.

Effect: none. One user: balance and debt, the newest 100 jobs and 200 entries of the ledger, debts
and purchases. A user whom nobody knows has zeros and empty lists.

Refuses: forbidden.

Replay: reads again.
$c$;

revoke all on function unstuck.user_show_v1 from public, anon, authenticated, service_role;
grant execute on function unstuck.user_show_v1 to service_role;
