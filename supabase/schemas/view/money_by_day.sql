create view unstuck.money_by_day
with (security_invoker = true) as
select m.day, m.kind, m.tool, m.entries, m.credits
from unstuck_private.visible_money() m;

comment on view unstuck.money_by_day is $c$
What moved in the ledger in the last 62 days of UTC: a row per day, kind of entry and tool, for the
service and admins. Entries without a job have no tool.
$c$;

revoke all on unstuck.money_by_day from public, anon, authenticated, service_role;
grant select on unstuck.money_by_day to authenticated, service_role;
