-- Gives credits that belong to no job, and returns the balance after and a receipt. The user's row
-- is locked.
create or replace function unstuck_private.wallet_grant(
  p_user_id uuid,
  p_amount bigint,
  p_kind text,
  p_reason text,
  out balance bigint,
  out receipt jsonb
)
language plpgsql
set search_path = ''
as
$$
#variable_conflict use_column
begin
  update unstuck.credit_accounts a
  set balance = a.balance + p_amount
  where a.user_id = p_user_id
  returning a.balance
  into wallet_grant.balance;
end $$;

revoke all on function unstuck_private.wallet_grant from public, anon, authenticated, service_role;
