-- What each provider last reported about our account there: an amount for each unit (`coins`, a
-- currency).
create table unstuck_private.provider_balances (
  provider text primary key references unstuck.providers,
  amounts jsonb not null,
  told_at timestamptz not null
);

alter table unstuck_private.provider_balances enable row level security;
revoke all on unstuck_private.provider_balances from public, anon, authenticated, service_role;
