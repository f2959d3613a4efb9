-- The other deployments whose Workers were refused, one row each. A refusal rolls back what it
-- wrote, so the refused Worker records it by a call of its own, `deployment_alarm_v1`.
create table unstuck_private.deployment_alarms (
  id text primary key,
  at timestamptz not null default clock_timestamp(),
  last_at timestamptz not null default clock_timestamp(),
  count bigint not null default 1
);

alter table unstuck_private.deployment_alarms enable row level security;
revoke all on unstuck_private.deployment_alarms from public, anon, authenticated, service_role;
