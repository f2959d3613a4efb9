-- Who does the work, and how many steps at once.
create table unstuck.providers (
  provider text primary key,
  -- How many slots there are: steps that may be at the provider at the same time.
  max_concurrent int not null
    check (max_concurrent >= 0),
  enabled boolean not null default true,
  -- A synchronous provider answers with the result; its worker holds a lease while the call runs.
  synchronous boolean not null default false,
  -- Where webhooks are not signed they are only hints: running steps are also asked about.
  signed_webhooks boolean not null default false,
  -- Its tools' own cleanup calls their function again: the healers leave its attempts to it.
  retried_by_function boolean not null default false,
  -- When `max_concurrent` was last lowered: steps claimed before may exceed the new limit.
  limit_changed_at timestamptz not null default '-infinity'
);

alter table unstuck.providers enable row level security;
revoke all on unstuck.providers from public, anon, authenticated, service_role;
grant select on unstuck.providers to authenticated, service_role;
