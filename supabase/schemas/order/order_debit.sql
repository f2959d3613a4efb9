-- Takes the price of an order from its user's account, which the caller has locked, and writes the
-- entry.
create or replace function unstuck_private.order_debit(
  p_user_id uuid,
  p_job_id uuid,
  p_tool text,
  p_price bigint
)
returns void
language plpgsql
set search_path = ''
as
$$
declare
  v_balance bigint;
begin
  update unstuck.credit_accounts a
  set balance = a.balance - p_price
  where a.user_id = p_user_id
  returning a.balance
  into v_balance;
  insert into unstuck.credit_entries (user_id, job_id, kind, amount, balance_after, reason)
  values (p_user_id, p_job_id, 'debit', -p_price, v_balance, p_tool);
end $$;

revoke all on function unstuck_private.order_debit from public, anon, authenticated, service_role;
