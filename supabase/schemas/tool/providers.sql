create table unstuck.providers (
  provider text primary key,
  max_concurrent int not null check (max_concurrent >= 0),
  enabled boolean not null default true,
  -- A synchronous provider answers with the result; its worker holds a lease while the call runs.
  synchronous boolean not null default false,
  -- Unsigned webhooks are hints: running steps are also asked for every 30 s.
  signed_webhooks boolean not null default false,
  limit_changed_at timestamptz not null default '-infinity'
);

alter table unstuck.providers enable row level security;
revoke all on unstuck.providers from public, anon, authenticated, service_role;
grant select on unstuck.providers to service_role;
grant select on unstuck.providers to authenticated;
