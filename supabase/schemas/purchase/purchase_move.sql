-- Makes the ledger agree with what is due to this user of a purchase, `p_due` credits: gives what
-- is missing, or takes back what is too much. Returns the change, negative for credits that were
-- taken back. What cannot be taken back, because it was spent, becomes a debt; what is given
-- lessens that debt first. The purchase and the account are locked.
create or replace function unstuck_private.purchase_move(
  p_purchase unstuck.purchases,
  p_user_id uuid,
  p_due bigint
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_change bigint := p_due - unstuck_private.purchase_given(p_purchase.ids, p_user_id);
  v_rest bigint;
begin
  if v_change > 0 then
    v_rest := unstuck_private.debts_lessen(p_user_id, p_purchase.ids, v_change);
    insert into unstuck.credit_entries (user_id, purchase_id, kind, amount, reason, actor)
    select p_user_id, p_purchase.id, 'purchase', v_rest,
      coalesce(p_purchase.pack, p_purchase.seller), 'seller:' || p_purchase.seller
    where v_rest > 0;
  elsif v_change < 0 then
    v_rest := -v_change - unstuck_private.purchase_take(p_user_id, p_purchase.ids, -v_change);
    insert into unstuck.credit_debts (user_id, purchase_id, amount)
    select p_user_id, p_purchase.id, v_rest
    where v_rest > 0;
  end if;
  return v_change;
end $$;

revoke all on function unstuck_private.purchase_move from public, anon, authenticated, service_role;
