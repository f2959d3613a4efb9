-- Takes the price of a job: all of it, or 0 where orders are free. Refuses with
-- insufficient_credits where too little is there. The receipt says where it was taken from; the
-- built-in wallet needs none. The user's row is locked.
create or replace function unstuck_private.wallet_debit(
  p_user_id uuid,
  p_tool text,
  p_amount bigint,
  p_job_id uuid,
  p_reason text,
  out taken bigint,
  out receipt jsonb
)
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.credit_accounts a
  set balance = a.balance - p_amount
  where a.user_id = p_user_id
    and a.balance >= p_amount;
  if not found then
    perform unstuck_private.refuse_over_balance(p_user_id, p_tool, p_amount);
  end if;
  taken := p_amount;
end $$;

revoke all on function unstuck_private.wallet_debit from public, anon, authenticated, service_role;
