-- Returns what the caller may spend and owes, in credits, and whether more credits wait for the
-- caller. The view `my_balance` shows it.
create or replace function unstuck_private.caller_balance(
  out balance bigint,
  out debt bigint,
  out waits boolean
)
language sql
stable
security definer
set search_path = ''
as
$$
  select unstuck_private.balance_shown(auth.uid(), null), unstuck_private.debt_open(auth.uid()),
    unstuck_private.credits_wait(auth.uid())
$$;

revoke all on function unstuck_private.caller_balance
from public, anon, authenticated, service_role;
grant execute on function unstuck_private.caller_balance to authenticated, service_role;
