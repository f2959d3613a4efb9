-- When all jobs of a user, or the whole ledger, were deleted while the other was kept. What is
-- missing since then is no violation. The row is deleted once neither is left.
create table unstuck_private.removals (
  user_id uuid primary key,
  jobs_removed_at timestamptz not null default '-infinity',
  ledger_removed_at timestamptz not null default '-infinity'
);

alter table unstuck_private.removals enable row level security;
revoke all on unstuck_private.removals from public, anon, authenticated, service_role;
