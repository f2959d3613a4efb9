-- Settles the user's open debts, the oldest first, with credits that it takes from the wallet, as
-- far as the balance allows. The account is locked.
create or replace function unstuck_private.debts_settle(p_user_id uuid) returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_debt unstuck.credit_debts;
  v_taken bigint;
begin
  for v_debt in
    select *
    from unstuck.credit_debts d
    where d.user_id = p_user_id
      and d.amount > d.settled
    order by d.created_at, d.id
  loop
    v_taken := unstuck_private.purchase_take(
      p_user_id, array[v_debt.purchase_id], v_debt.amount - v_debt.settled);
    exit when v_taken = 0;
    update unstuck.credit_debts d
    set settled = d.settled + v_taken
    where d.id = v_debt.id;
  end loop;
end $$;

revoke all on function unstuck_private.debts_settle from public, anon, authenticated, service_role;
