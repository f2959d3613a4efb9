-- The adapter whose functions hold the balances in place of our own accounts; no row for the
-- built-in wallet.
create table unstuck_private.installed (
  adapter text primary key,
  at timestamptz not null default clock_timestamp()
);

-- One wallet at a time.
create unique index installed_is_one on unstuck_private.installed ((true));

alter table unstuck_private.installed enable row level security;
revoke all on unstuck_private.installed from public, anon, authenticated, service_role;
