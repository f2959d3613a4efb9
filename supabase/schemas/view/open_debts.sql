create view unstuck.open_debts
with (security_invoker = true) as
select
  d.user_id,
  sum(d.amount - d.settled)::bigint as owed,
  min(d.created_at) as since
from unstuck.credit_debts d
where d.amount > d.settled
group by d.user_id;

comment on view unstuck.open_debts is $c$
Who owes credits, and since when: one row for each user. Owners see their own, admins everybody's.
$c$;

revoke all on unstuck.open_debts from public, anon, authenticated, service_role;
grant select on unstuck.open_debts to authenticated, service_role;
