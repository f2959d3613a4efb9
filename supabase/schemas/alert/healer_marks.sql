-- When each healer was last seen. The healers are `edge`, `sql` and `queues`; a row `webhook:` with
-- a provider's name says when the last webhook of that provider came. `asked_at`: since when the
-- queues owe an answer to a probe. `pinged_at`: when the last probe was sent.
--
-- Two rows are no healers: `balances`, when a healer was last told to ask the providers for our
-- balances, and `receiver`, when a function last asked for the messages that the app's receiver is
-- owed.
create table unstuck_private.healer_marks (
  healer text primary key,
  seen_at timestamptz,
  asked_at timestamptz,
  pinged_at timestamptz
);

alter table unstuck_private.healer_marks enable row level security;
revoke all on unstuck_private.healer_marks from public, anon, authenticated, service_role;
