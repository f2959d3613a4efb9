create table unstuck.sessions (
  id text not null,
  user_id uuid not null,
  -- When its page last said that it stays; null: it never did.
  seen_at timestamptz,
  -- From when on it counts as left, unless its page says that it stays.
  left_at timestamptz not null,
  primary key (user_id, id)
);

create index sessions_by_leaving on unstuck.sessions (left_at);

comment on table unstuck.sessions is $c$
Pages of users: what waits of a page that counts as left is cancelled by the healers (`is_left`). A
page without a row is never left. Kept for a day; at most 1,000 rows per user.
$c$;

alter table unstuck.sessions enable row level security;
revoke all on unstuck.sessions from public, anon, authenticated, service_role;
grant select on unstuck.sessions to service_role;
