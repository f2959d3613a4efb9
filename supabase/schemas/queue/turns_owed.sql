-- Users who have queued steps at a provider and no usable turn in its queue: their steps were
-- locked by other transactions when the turn was passed on, or the circuit of the turn's tool has
-- opened. The next claim gives them a turn.
create table unstuck_private.turns_owed (
  provider text not null references unstuck.providers,
  user_id uuid not null,
  primary key (provider, user_id)
);

alter table unstuck_private.turns_owed enable row level security;
revoke all on unstuck_private.turns_owed from public, anon, authenticated, service_role;
