-- How many steps of each provider were completed (`done`) or failed in a minute, for the last hour.
create table unstuck_private.ended_by_minute (
  minute timestamptz not null,
  provider text not null,
  done int not null,
  failed int not null,
  primary key (provider, minute)
);

alter table unstuck_private.ended_by_minute enable row level security;
revoke all on unstuck_private.ended_by_minute from public, anon, authenticated, service_role;
