-- Users who wait at a provider and have no usable turn in its line: their steps were held by other
-- transactions when the turn was passed on, or the turn is of a tool whose circuit has opened. The
-- next claim gives them one.
create table unstuck_private.turns_owed (
  provider text not null references unstuck.providers,
  user_id uuid not null,
  primary key (provider, user_id)
);

alter table unstuck_private.turns_owed enable row level security;
revoke all on unstuck_private.turns_owed from public, anon, authenticated, service_role;
