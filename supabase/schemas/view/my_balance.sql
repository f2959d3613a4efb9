create view unstuck.my_balance
with (security_invoker = true) as
select b.balance, b.debt
from unstuck_private.caller_balance() b;

comment on view unstuck.my_balance is $c$
One row: what the caller may spend, whoever holds the balance, and the debt that stops orders.
$c$;

revoke all on unstuck.my_balance from public, anon, authenticated, service_role;
grant select on unstuck.my_balance to authenticated, service_role;
