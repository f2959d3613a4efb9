-- Takes the price of an order from the wallet, writes the entry and returns what was taken, 0 where
-- orders are free. The caller has locked the wallet, in which the user has `p_balance`. First
-- refuses an order, a free one too, under whose id the app has a row of its own
-- (`refuse_apps_row`).
create or replace function unstuck_private.order_debit(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text,
  p_price bigint,
  p_balance bigint
)
returns bigint
language plpgsql
set search_path = ''
as
$$
declare
  v_debit record;
begin
  perform unstuck_private.refuse_apps_row(p_user_id, p_job_id, p_tool);
  if p_price <= 0 then
    return 0;
  end if;
  v_debit := unstuck_private.wallet_debit(p_user_id, p_tool, p_price, p_job_id, p_tool);
  if v_debit.taken > 0 then
    insert into unstuck.credit_entries (
      user_id, job_id, kind, amount, balance_after, reason, receipt)
    values (
      p_user_id, p_job_id, 'debit', -v_debit.taken, p_balance - v_debit.taken, p_tool,
      v_debit.receipt);
  end if;
  return v_debit.taken;
end $$;

revoke all on function unstuck_private.order_debit from public, anon, authenticated, service_role;
