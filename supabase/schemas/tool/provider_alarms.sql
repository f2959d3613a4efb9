create table unstuck.provider_alarms (
  id bigint generated always as identity primary key,
  -- When the first of these alarms came; equal ones of the hour after it are counted here.
  at timestamptz not null default clock_timestamp(),
  last_at timestamptz not null default clock_timestamp(),
  provider text not null references unstuck.providers,
  -- Null: the alarm concerns no single tool.
  tool text references unstuck.tools,
  -- The fault in the provider's words.
  code text not null,
  -- Of the newest alarm: the job that met it.
  detail text,
  count int not null default 1
    check (count >= 1)
);

create index provider_alarms_by_time on unstuck.provider_alarms (at);

comment on table unstuck.provider_alarms is $c$
What only the operator can mend at a provider: a dead key, an empty wallet, a missing app. One row
per provider, tool and code an hour, with how often it came.
$c$;

alter table unstuck.provider_alarms enable row level security;
revoke all on unstuck.provider_alarms from public, anon, authenticated, service_role;
revoke all on sequence unstuck.provider_alarms_id_seq
from public, anon, authenticated, service_role;
grant select on unstuck.provider_alarms to service_role;
grant select on unstuck.provider_alarms to authenticated;
