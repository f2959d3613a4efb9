-- When the platform last called each function, for a cron or with a message of its queue. There is
-- one row for each function and event, so the table grows with the functions alone.
create table unstuck_private.events_seen (
  function text not null,
  event text not null
    check (event in ('cron', 'queue')),
  at timestamptz not null default clock_timestamp(),
  primary key (function, event)
);

alter table unstuck_private.events_seen enable row level security;
revoke all on unstuck_private.events_seen from public, anon, authenticated, service_role;
