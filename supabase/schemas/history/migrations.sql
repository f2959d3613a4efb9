-- Which of our migrations this database has. The host's own history of migrations is never touched.
create table unstuck_private.migrations (
  number int primary key,
  name text not null,
  hash text not null,
  at timestamptz not null default clock_timestamp()
);

alter table unstuck_private.migrations enable row level security;
revoke all on unstuck_private.migrations from public, anon, authenticated, service_role;
