-- Gives back what a job took, or a part of it, and returns how much was given. p_receipt is the
-- debit's. The user's row is locked. `jobs_refund` refunds the built-in wallet set-wise and calls
-- this for an adapter only.
create or replace function unstuck_private.wallet_refund(
  p_user_id uuid,
  p_amount bigint,
  p_job_id uuid,
  p_reason text,
  p_receipt jsonb,
  out given bigint
)
language plpgsql
set search_path = ''
as
$$
begin
  update unstuck.credit_accounts a
  set balance = a.balance + p_amount
  where a.user_id = p_user_id;
  given := p_amount;
end $$;

revoke all on function unstuck_private.wallet_refund
from public, anon, authenticated, service_role;
