-- When each user was last served by a provider. The claim writes it, under the provider's lock.
create table unstuck_private.queue_turns (
  provider text not null references unstuck.providers,
  user_id uuid not null,
  served_at timestamptz not null,
  primary key (provider, user_id)
);

create index queue_turns_by_time on unstuck_private.queue_turns (served_at);

alter table unstuck_private.queue_turns enable row level security;
revoke all on unstuck_private.queue_turns from public, anon, authenticated, service_role;
