create view unstuck.my_balance
with (security_invoker = true) as
select b.balance, b.debt, b.waits
from unstuck_private.caller_balance() b;

comment on view unstuck.my_balance is $c$
One row: what the caller may spend, whoever holds the balance, the debt that stops orders, and
whether credits wait that the caller's next quote, order or `check-user-active` gives.
$c$;

revoke all on unstuck.my_balance from public, anon, authenticated, service_role;
grant select on unstuck.my_balance to authenticated, service_role;
