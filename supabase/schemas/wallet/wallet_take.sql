-- Takes credits that belong to no job, at most what is there, and returns how many were taken.
-- p_receipt is that of the grant that is taken back, where there was one. The user's row is locked.
create or replace function unstuck_private.wallet_take(
  p_user_id uuid,
  p_amount bigint,
  p_kind text,
  p_reason text,
  p_receipt jsonb,
  out taken bigint
)
language plpgsql
set search_path = ''
as
$$
begin
  select least(a.balance, p_amount)
  into taken
  from unstuck.credit_accounts a
  where a.user_id = p_user_id;
  update unstuck.credit_accounts a
  set balance = a.balance - taken
  where a.user_id = p_user_id;
end $$;

revoke all on function unstuck_private.wallet_take from public, anon, authenticated, service_role;
