-- Lessens the user's open debts from these purchases, the oldest first, by at most `p_amount` in
-- all, and returns how much of `p_amount` is left. The account is locked.
create or replace function unstuck_private.debts_lessen(
  p_user_id uuid,
  p_ids uuid[],
  p_amount bigint
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_debt unstuck.credit_debts;
  v_rest bigint := p_amount;
begin
  for v_debt in
    select *
    from unstuck.credit_debts d
    where d.user_id = p_user_id
      and d.purchase_id = any (p_ids)
      and d.amount > d.settled
    order by d.created_at, d.id
  loop
    update unstuck.credit_debts d
    set amount = greatest(d.amount - v_rest, d.settled)
    where d.id = v_debt.id;
    v_rest := greatest(v_rest - (v_debt.amount - v_debt.settled), 0);
  end loop;
  return v_rest;
end $$;

revoke all on function unstuck_private.debts_lessen from public, anon, authenticated, service_role;
