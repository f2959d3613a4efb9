-- When each healer was last seen: `edge`, `sql`, `queues`, and when each provider's webhooks were
-- (`webhook:` and the provider). `asked_at`: since when the queues owe an answer to a probe,
-- `pinged_at`: when the last one was sent. Two rows are no healers: `balances`, when the providers
-- were asked for ours, and `receiver`, when a function asked for what the app's receiver is owed.
create table unstuck_private.healer_marks (
  healer text primary key,
  seen_at timestamptz,
  asked_at timestamptz,
  pinged_at timestamptz
);

alter table unstuck_private.healer_marks enable row level security;
revoke all on unstuck_private.healer_marks from public, anon, authenticated, service_role;
